"""UniFormer-XXS and -XS: the lightweight models, whose global blocks prune tokens.

Beside UniFormer (``slowfast.models.uniformer``) they have a stem of two overlapping convolutions, a class token from
stage 3 on, whose attention says which tokens matter (``slowfast.models.token_pruning``), and in training a second head
that reads it.
"""

from collections.abc import Collection, Sequence
from itertools import islice

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.config.uniformer import LAYER_SCALE_MODEL, LIGHT_MODELS, NUM_STAGES, pruning_problem, stage_problem
from slowfast.errors import UserError
from slowfast.models.layers import linear_drop_path_rates
from slowfast.models.registry import MODEL_REGISTRY
from slowfast.models.strided_conv import PatchConv3d
from slowfast.models.uniformer_blocks import LocalBlock, PatchEmbed
from slowfast.models.uniformer_light_blocks import ConvStem, PrunedGlobalBlock
from slowfast.models.uniformer_stages import (
    FourStageModel,
    build_arguments,
    check_clips,
    init_uniformer_weights,
    per_stage,
)
from slowfast.models.weights.uniformer import UNIFORMER_LIGHT_WEIGHTS


class UniformerLight(FourStageModel):
    """UniFormer with token pruning; registered under the three names that its authors gave to its variants.

    Args:
        num_classes, embed_dim, depth, head_dim, mlp_ratio, std, qkv_bias, qkv_scale, dropout_rate,
            attention_dropout_rate, drop_depth_rate, checkpoint_num: as for ``Uniformer``.
        prune_ratio: four lists; those of stages 3 and 4 have the share of tokens that each block keeps, in (0, 1], and
            may be longer than the stage. The first block of stage 3 keeps all.
        trade_off: four lists, as above, of the weight of each block's attention in the running score, in [0, 1].
        keeps_float32: leave attention in float32 under autocast.
        layer_scale: where the LayerScale of all blocks starts; None has none.

    Raises:
        UserError: if a per-stage argument does not fit the stages or ``head_dim`` does not divide.
    """

    weights = UNIFORMER_LIGHT_WEIGHTS
    classifier_names = ("head", "head_cls")
    bfloat16_jump = 0.1
    has_fixed_frames = True

    def __init__(
        self,
        *,
        num_classes: int,
        embed_dim: Sequence[int] = (56, 112, 224, 448),
        depth: Sequence[int] = (2, 5, 8, 2),
        head_dim: int = 28,
        mlp_ratio: float | Sequence[float] = 3.0,
        prune_ratio: Sequence[Sequence[float]] = ((), (), (1, *(0.5,) * 7), (0.5,) * 3),
        trade_off: Sequence[Sequence[float]] = ((), (), (1, *(0.5,) * 7), (0.5,) * 3),
        std: bool = False,
        qkv_bias: bool = True,
        qkv_scale: float | None = None,
        dropout_rate: float = 0.0,
        attention_dropout_rate: float = 0.0,
        drop_depth_rate: float = 0.0,
        keeps_float32: bool = True,
        layer_scale: float | None = None,
        checkpoint_num: Sequence[int] = (0, 0, 0, 0),
    ) -> None:
        super().__init__()
        sizes = {"depth": depth, "embed_dim": embed_dim, "mlp_ratio": mlp_ratio, "head_dim": head_dim}
        problem = stage_problem(**sizes, checkpoint_num=checkpoint_num)
        problem = problem or pruning_problem(depth=depth, prune_ratio=prune_ratio, trade_off=trade_off)
        if problem:
            raise UserError(problem)
        self.num_classes, self.num_features, self.num_layers = num_classes, embed_dim[-1], sum(depth)
        self.checkpoint_num = tuple(checkpoint_num)

        self.patch_embed1 = ConvStem(3, embed_dim[0])
        for stage_idx in range(1, NUM_STAGES):
            channels = embed_dim[stage_idx - 1 : stage_idx + 1]
            proj = None if std else PatchConv3d(*channels, kernel_size=(2, 2))
            patch_embed = PatchEmbed(*channels, kernel_size=(3, 2, 2), stride=(1, 2, 2), proj=proj)
            self.add_module(f"patch_embed{stage_idx + 1}", patch_embed)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim[2]))
        self.cls_upsample = nn.Linear(embed_dim[2], embed_dim[3])
        self.pos_drop = nn.Dropout(dropout_rate)

        attention = {
            "head_dim": head_dim,
            "qkv_bias": qkv_bias,
            "qkv_scale": qkv_scale,
            "attention_dropout_rate": attention_dropout_rate,
            "keeps_float32": keeps_float32,
        }
        rates = iter(linear_drop_path_rates(drop_depth_rate, sum(depth)))
        for stage_idx, (dim, ratio) in enumerate(zip(embed_dim, per_stage(mlp_ratio, NUM_STAGES), strict=True)):
            args = {"mlp_ratio": ratio, "dropout_rate": dropout_rate, "layer_scale": layer_scale}
            stage_rates = list(islice(rates, depth[stage_idx]))
            if stage_idx < 2:
                blocks = [LocalBlock(dim, drop_path_rate=rate, **args) for rate in stage_rates]
            else:
                pruning = zip(stage_rates, prune_ratio[stage_idx], trade_off[stage_idx], strict=False)
                names = ("drop_path_rate", "keep_ratio", "trade_off")
                own = [dict(zip(names, values, strict=True)) for values in pruning]
                blocks = [PrunedGlobalBlock(dim, **args, **attention, **each) for each in own]
            self.add_module(f"blocks{stage_idx + 1}", nn.ModuleList(blocks))
        self.blocks3[-1].halves_score = True  # stage 4 has a quarter of the tokens

        self.norm = nn.BatchNorm3d(embed_dim[-1])
        self.norm_cls = nn.LayerNorm(embed_dim[-1])
        self.head = nn.Linear(embed_dim[-1], num_classes)
        self.head_cls = nn.Linear(embed_dim[-1], num_classes)
        self.apply(init_uniformer_weights)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "UniformerLight":
        """Build from ``UNIFORMER.*``, ``MODEL.MODEL_NAME``, which tells the variant, and the checkpointing keys."""
        name = cfg.MODEL.MODEL_NAME
        return cls(
            **build_arguments(cfg),
            prune_ratio=cfg.UNIFORMER.PRUNE_RATIO,
            trade_off=cfg.UNIFORMER.TRADE_OFF,
            keeps_float32=name != "Uniformer_light",
            layer_scale=cfg.UNIFORMER.INIT_VALUE if name == LAYER_SCALE_MODEL else None,
        )

    def layer_idx(self, name: str) -> int:
        """As of every UniFormer; the class token belongs to the first block of stage 3, its projection to stage 4's."""
        stage = {"cls_token": 3, "cls_upsample": 4}.get(name.partition(".")[0])
        return super().layer_idx(name if stage is None else f"patch_embed{stage}.")

    def forward(self, clips: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """clips: float (N, 3, T, H, W), normalised; returns logits (N, K), in training those of both heads."""
        volume, class_token, _ = self._run_blocks(clips)
        logits = self.forward_head(self.norm(volume))
        return (logits, self.head_cls(self.norm_cls(class_token).squeeze(1))) if self.training else logits

    def forward_features(self, clips: Tensor) -> Tensor:
        """The normalised output of the last stage; what it takes, returns and raises is ``Uniformer``'s."""
        return self.norm(self._run_blocks(clips)[0])

    def forward_intermediates(self, clips: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Outputs (N, C, T, H, W) of blocks, which count over the four stages in order; C, H and W are the stage's."""
        wanted = self.layer_indices(layers)
        _, _, outputs = self._run_blocks(clips, wanted)
        return [outputs[layer] for layer in wanted]

    def _run_blocks(
        self, clips: Tensor, wanted: Collection[int] | None = None
    ) -> tuple[Tensor, Tensor | None, dict[int, Tensor]]:
        """All blocks, or those as far as the last one wanted.

        Args:
            clips: as for ``forward_features``.
            wanted: 0-based blocks; None wants the last one's output alone.

        Returns:
            The last output (N, C, T, H, W), the class token (N, 1, C), None before stage 3, and the outputs wanted.
        """
        check_clips(clips)
        layer, last = 0, self.num_layers - 1 if wanted is None else max(wanted, default=-1)
        x, class_token, score, order, outputs = clips, None, None, None, {}
        for stage_idx, blocks in enumerate(self._stages()):
            if layer > last:
                break
            x = self._embed(stage_idx, x)
            if stage_idx == 2:
                class_token = self.cls_token.expand(x.shape[0], -1, -1)
            elif stage_idx == 3:
                class_token = self.cls_upsample(class_token)
            for block_idx in range(min(len(blocks), last + 1 - layer)):
                if stage_idx < 2:
                    x = self._run_block(stage_idx, block_idx, x)
                else:
                    x, class_token, score, order = self._run_block(stage_idx, block_idx, x, class_token, score, order)
                if wanted is not None and layer in wanted:
                    outputs[layer] = x
                layer += 1
        return x, class_token, outputs


for _name in LIGHT_MODELS:
    MODEL_REGISTRY.register(UniformerLight, name=_name)
