"""What all UniFormers share: four stages of blocks, each behind a patch embedding, and a head on the mean token."""

from collections.abc import Sequence
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.config.uniformer import NUM_STAGES, STRIDE_PX
from slowfast.models.activation_checkpoint import checkpointed
from slowfast.models.batch_norm import FoldableNorms
from slowfast.models.registry import VideoModel
from slowfast.models.uniformer_blocks import GlobalBlock
from slowfast.models.weights.uniformer import UNIFORMER_WEIGHTS


class FourStageModel(FoldableNorms, VideoModel):
    """A model with ``patch_embed1`` to ``4``, ``blocks1`` to ``4``, ``pos_drop``, ``norm`` and ``head``.

    Attributes:
        checkpoint_num: for each stage, how many of its first blocks recompute their activations in training.
    """

    weights = UNIFORMER_WEIGHTS
    norm_readers = (("norm", "head"),)

    checkpoint_num: tuple[int, ...]

    def init_classifier(self, linear: nn.Linear) -> None:
        init_uniformer_weights(linear)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        self.checkpoint_num = tuple(len(blocks) * enable for blocks in self._stages())

    def layer_idx(self, name: str) -> int:
        """The layer of a parameter, by its name, as layer-wise learning rates count: 0 to blocks + 1.

        0 is the stem and i the i-th block, over the stages in order; a stage's patch embedding belongs to its first
        block. What follows the blocks is the last layer.
        """
        depth = [len(blocks) for blocks in self._stages()]
        part, *rest = name.split(".")
        if part == "patch_embed1":
            return 0
        if part.startswith("patch_embed"):
            return 1 + sum(depth[: int(part.removeprefix("patch_embed")) - 1])
        if part.startswith("blocks"):
            return 1 + sum(depth[: int(part.removeprefix("blocks")) - 1]) + int(rest[0])
        return 1 + sum(depth)

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool features (N, C, T, H, W) over all tokens to (N, C), and classify them: logits (N, K)."""
        pooled = features.flatten(2).mean(-1)
        return pooled if pre_logits else self.head(pooled)

    def _stages(self) -> list[nn.ModuleList]:
        return [self.blocks1, self.blocks2, self.blocks3, self.blocks4]

    def _embed(self, stage_idx: int, x: Tensor) -> Tensor:
        """The first layer of a stage; (N, C, T, H, W) to the stage's C, T, H and W."""
        x = getattr(self, f"patch_embed{stage_idx + 1}")(x)
        return self.pos_drop(x) if stage_idx == 0 else x

    def _run_block(self, stage_idx: int, block_idx: int, *state: Tensor | None) -> Any:
        """One block, recomputed in the backward pass if it is one of those; takes and returns what blocks do."""
        block = self._stages()[stage_idx][block_idx]
        recompute = block_idx < self.checkpoint_num[stage_idx] and torch.is_grad_enabled()
        return checkpointed(block, *state) if recompute else block(*state)


def build_arguments(cfg: CfgNode) -> dict[str, Any]:
    """What the constructors of all UniFormers take, from ``UNIFORMER.*``, ``MODEL.NUM_CLASSES`` and the checkpointing
    keys."""
    return {
        "num_classes": cfg.MODEL.NUM_CLASSES,
        "embed_dim": cfg.UNIFORMER.EMBED_DIM,
        "depth": cfg.UNIFORMER.DEPTH,
        "head_dim": cfg.UNIFORMER.HEAD_DIM,
        "mlp_ratio": cfg.UNIFORMER.MLP_RATIO,
        "std": cfg.UNIFORMER.STD,
        "qkv_bias": cfg.UNIFORMER.QKV_BIAS,
        "qkv_scale": cfg.UNIFORMER.QKV_SCALE,
        "dropout_rate": cfg.UNIFORMER.DROPOUT_RATE,
        "attention_dropout_rate": cfg.UNIFORMER.ATTENTION_DROPOUT_RATE,
        "drop_depth_rate": cfg.UNIFORMER.DROP_DEPTH_RATE,
        "checkpoint_num": cfg.MODEL.CHECKPOINT_NUM if cfg.MODEL.USE_CHECKPOINT else (0,) * NUM_STAGES,
    }


def per_stage(value: float | Sequence[float], num_stages: int) -> Sequence[float]:
    """One number for each stage; a number by itself stands for all."""
    return value if isinstance(value, Sequence) else (value,) * num_stages


def check_clips(clips: Tensor) -> None:
    """Refuse clips that the stages do not cover.

    Raises:
        ValueError: naming their shape.
    """
    is_video = clips.ndim == 5 and clips.shape[1] == 3
    if not is_video or clips.shape[3] % STRIDE_PX or clips.shape[4] % STRIDE_PX:
        raise ValueError(
            f"clips of shape {tuple(clips.shape)}; accepted: (N, 3, T, H, W) with H and W multiples of"
            f" {STRIDE_PX} (DATA.TRAIN_CROP_SIZE, DATA.TEST_CROP_SIZE)"
        )


def init_uniformer_weights(module: nn.Module) -> None:
    """Initialise one module; convolutions and norms keep PyTorch's defaults.

    Divided blocks start without temporal attention: its queries, keys and values are 0. Its projection starts at 1,
    as published; were it 0 too, neither of the factors would get a gradient.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, GlobalBlock) and module.split:
        # apply() visits children first, so this has the last word
        nn.init.zeros_(module.t_attn.qkv.weight)
        nn.init.ones_(module.t_attn.proj.weight)
