"""UniFormer (arXiv 2201.04676): convolution in the shallow stages, self-attention in the deep ones.

Parameter names are those of the published checkpoints. Activations are (N, C, T, H, W) whose memory is channels-last
(``torch.channels_last_3d``) from the first patch embedding on: moving the channels to the end, as linear layers,
LayerNorm and attention want them, is then a view. A tensor in another layout gives the same figures, more slowly.
"""

from collections.abc import Sequence
from itertools import islice

from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.config.uniformer import NUM_STAGES, stage_problem
from slowfast.errors import UserError
from slowfast.models.layers import linear_drop_path_rates
from slowfast.models.registry import MODEL_REGISTRY
from slowfast.models.uniformer_blocks import GlobalBlock, LocalBlock, PatchEmbed
from slowfast.models.uniformer_stages import (
    FourStageModel,
    build_arguments,
    check_clips,
    init_uniformer_weights,
    per_stage,
)


@MODEL_REGISTRY.register()
class Uniformer(FourStageModel):
    """UniFormer: two stages of local blocks, two of global blocks, and a linear head on the mean token.

    Args:
        num_classes: K, the length of a logit row.
        embed_dim: channels of each stage.
        depth: blocks of each stage.
        head_dim: channels of an attention head; divides the channels of the global stages.
        mlp_ratio: hidden channels of an FFN / its channels; one number for all stages or one per stage.
        split: divided space-time attention in the global blocks.
        std: patch embeddings 2 to 4 overlap in time (kernel 3 x 2 x 2 instead of 1 x 2 x 2).
        qkv_bias: whether queries, keys and values have a bias.
        qkv_scale: factor of the query-key products; None is ``head_dim ** -0.5``.
        dropout_rate: dropout after the stem, in FFNs and of the attention output.
        attention_dropout_rate: dropout of the attention weights.
        drop_depth_rate: stochastic-depth rate of the last block; it grows linearly from 0 at the first.
        checkpoint_num: for each stage, how many of its first blocks recompute their activations in training.

    Raises:
        UserError: if a per-stage argument does not have four entries or ``head_dim`` does not divide.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embed_dim: Sequence[int] = (64, 128, 320, 512),
        depth: Sequence[int] = (3, 4, 8, 3),
        head_dim: int = 64,
        mlp_ratio: float | Sequence[float] = 4.0,
        split: bool = False,
        std: bool = False,
        qkv_bias: bool = True,
        qkv_scale: float | None = None,
        dropout_rate: float = 0.0,
        attention_dropout_rate: float = 0.0,
        drop_depth_rate: float = 0.0,
        checkpoint_num: Sequence[int] = (0, 0, 0, 0),
    ) -> None:
        super().__init__()
        problem = stage_problem(
            depth=depth,
            embed_dim=embed_dim,
            mlp_ratio=mlp_ratio,
            head_dim=head_dim,
            checkpoint_num=checkpoint_num,
        )
        if problem:
            raise UserError(problem)
        mlp_ratio = per_stage(mlp_ratio, NUM_STAGES)
        self.num_classes, self.num_features, self.num_layers = num_classes, embed_dim[-1], sum(depth)
        self.checkpoint_num = tuple(checkpoint_num)

        kernel_size = (3, 2, 2) if std else (1, 2, 2)
        self.patch_embed1 = PatchEmbed(3, embed_dim[0], kernel_size=(3, 4, 4), stride=(2, 4, 4))
        self.patch_embed2 = PatchEmbed(embed_dim[0], embed_dim[1], kernel_size, stride=(1, 2, 2))
        self.patch_embed3 = PatchEmbed(embed_dim[1], embed_dim[2], kernel_size, stride=(1, 2, 2))
        self.patch_embed4 = PatchEmbed(embed_dim[2], embed_dim[3], kernel_size, stride=(1, 2, 2))
        self.pos_drop = nn.Dropout(dropout_rate)

        attention = {
            "head_dim": head_dim,
            "qkv_bias": qkv_bias,
            "qkv_scale": qkv_scale,
            "attention_dropout_rate": attention_dropout_rate,
        }
        drop_path_rates = iter(linear_drop_path_rates(drop_depth_rate, sum(depth)))
        for stage_idx in range(NUM_STAGES):
            args = {"mlp_ratio": mlp_ratio[stage_idx], "dropout_rate": dropout_rate}
            block, args = (LocalBlock, args) if stage_idx < 2 else (GlobalBlock, {**args, "split": split, **attention})
            rates = islice(drop_path_rates, depth[stage_idx])
            blocks = nn.ModuleList(block(embed_dim[stage_idx], drop_path_rate=rate, **args) for rate in rates)
            self.add_module(f"blocks{stage_idx + 1}", blocks)

        self.norm = nn.BatchNorm3d(embed_dim[-1])
        self.head = nn.Linear(embed_dim[-1], num_classes)
        self.apply(init_uniformer_weights)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "Uniformer":
        """Build from ``UNIFORMER.*``, ``MODEL.NUM_CLASSES`` and the checkpointing keys."""
        return cls(**build_arguments(cfg), split=cfg.UNIFORMER.SPLIT)

    def forward_features(self, clips: Tensor) -> Tensor:
        """The normalised output of the last stage.

        Args:
            clips: float (N, 3, T, H, W), normalised; any T, H and W multiples of 32.

        Returns:
            (N, C, T / 2, H / 32, W / 32), T / 2 rounded up.

        Raises:
            ValueError: for clips of another shape.
        """
        check_clips(clips)
        x = clips
        for stage_idx, blocks in enumerate(self._stages()):
            x = self._embed(stage_idx, x)
            for block_idx in range(len(blocks)):
                x = self._run_block(stage_idx, block_idx, x)
        return self.norm(x)

    def forward_intermediates(self, clips: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Outputs (N, C, T, H, W) of blocks, which count over the four stages in order; C, H and W are the stage's."""
        wanted, outputs, layer = self.layer_indices(layers), {}, 0
        check_clips(clips)
        x = clips
        for stage_idx, blocks in enumerate(self._stages()):
            if layer > max(wanted, default=-1):
                break
            x = self._embed(stage_idx, x)
            for block_idx in range(len(blocks)):
                if layer <= max(wanted):
                    x = self._run_block(stage_idx, block_idx, x)
                outputs[layer] = x if layer in wanted else None
                layer += 1
        return [outputs[layer] for layer in wanted]
