"""UniFormer (arXiv 2201.04676): convolution in the shallow stages, self-attention in the deep ones.

Parameter names are those of the published checkpoints. Activations are (N, C, T, H, W) whose memory is channels-last
(``torch.channels_last_3d``) from the first patch embedding on: moving the channels to the end, as linear layers,
LayerNorm and attention want them, is then a view. A tensor in another layout gives the same figures, more slowly.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice

import torch
import torch.nn.functional as F
from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from slowfast.models.depthwise import DepthwiseConv3d
from slowfast.models.layers import DropPath, linear_drop_path_rates
from slowfast.models.registry import MODEL_REGISTRY

NUM_STAGES = 4
SPATIAL_STRIDE = 32  # pixels of the input per token of the last stage: 4 * 2 * 2 * 2


class PointwiseConv3d(nn.Conv3d):
    """A 1x1x1 convolution with the parameters of one, applied to tokens as the linear layer that it is."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., C_in); returns (..., C_out)."""
        return F.linear(x, self.weight.flatten(1), self.bias)


class Mlp(nn.Module):
    """Two layers with a GELU between them, each followed by dropout (section 3.1, FFN).

    ``layer`` is ``nn.Linear`` or ``PointwiseConv3d``: the same function with weights of another published shape.
    """

    def __init__(self, dim: int, *, ratio: float, dropout_rate: float, layer: type[nn.Module]) -> None:
        super().__init__()
        hidden_dim = int(dim * ratio)
        self.fc1 = layer(dim, hidden_dim)
        self.act = nn.GELU()
        self.fc2 = layer(hidden_dim, dim)
        self.drop = nn.Dropout(dropout_rate)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., C); returns the same shape."""
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))


class Attention(nn.Module):
    """Multi-head self-attention over a sequence (section 3.2, global MHRA).

    Args:
        dim: channels, a multiple of ``head_dim``.
        head_dim: channels of a head.
        qkv_bias: whether queries, keys and values have a bias.
        qkv_scale: factor of the query-key products; None is ``head_dim ** -0.5``.
        attention_dropout_rate: dropout of the attention weights.
        dropout_rate: dropout of the output.
    """

    def __init__(
        self,
        dim: int,
        *,
        head_dim: int,
        qkv_bias: bool,
        qkv_scale: float | None,
        attention_dropout_rate: float,
        dropout_rate: float,
    ) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.scale = qkv_scale
        self.attention_dropout_rate = attention_dropout_rate
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(dropout_rate)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, L, C), B independent sequences; returns the same shape."""
        # (B, L, 3C) -> (B, L, 3, heads, head_dim) -> three of (B, heads, L, head_dim)
        q, k, v = self.qkv(x).unflatten(-1, (3, -1, self.head_dim)).permute(2, 0, 3, 1, 4).unbind(0)
        dropout_p = self.attention_dropout_rate if self.training else 0.0
        x = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p, scale=self.scale)
        return self.proj_drop(self.proj(x.transpose(1, 2).flatten(2)))


class LocalBlock(nn.Module):
    """DPE, local MHRA and FFN, all convolutional (equations 1 to 3)."""

    def __init__(self, dim: int, *, mlp_ratio: float, dropout_rate: float, drop_path_rate: float) -> None:
        super().__init__()
        self.pos_embed = DepthwiseConv3d(dim, kernel_size=3)
        self.norm1 = nn.BatchNorm3d(dim)
        self.conv1 = PointwiseConv3d(dim, dim)
        self.conv2 = PointwiseConv3d(dim, dim)
        self.attn = DepthwiseConv3d(dim, kernel_size=5)
        self.drop_path = DropPath(drop_path_rate)
        self.norm2 = nn.BatchNorm3d(dim)
        self.mlp = Mlp(dim, ratio=mlp_ratio, dropout_rate=dropout_rate, layer=PointwiseConv3d)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, T, H, W); returns the same shape."""
        x = x + self.pos_embed(x)
        x = x + self.drop_path(self._relate(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x).movedim(1, -1)).movedim(-1, 1))

    def _relate(self, x: Tensor) -> Tensor:
        """Local MHRA: value, depth-wise affinity over 5x5x5 neighbours, output; (N, C, T, H, W), shape kept."""
        value = self.conv1(x.movedim(1, -1)).movedim(-1, 1)
        return self.conv2(self.attn(value).movedim(1, -1)).movedim(-1, 1)


class GlobalBlock(nn.Module):
    """DPE, global MHRA and FFN (equations 1 to 3), with joint space-time attention.

    With ``split`` tokens attend over time, then over space, instead of over both at once. ``attention`` are the
    arguments of ``Attention``, but for ``dropout_rate``, which the FFN shares.
    """

    def __init__(
        self,
        dim: int,
        *,
        split: bool,
        mlp_ratio: float,
        dropout_rate: float,
        drop_path_rate: float,
        **attention: float | bool | None,
    ) -> None:
        super().__init__()
        self.split = split
        self.pos_embed = DepthwiseConv3d(dim, kernel_size=3)
        if split:
            self.t_norm = nn.LayerNorm(dim, eps=1e-6)
            self.t_attn = Attention(dim, dropout_rate=dropout_rate, **attention)
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, dropout_rate=dropout_rate, **attention)
        self.drop_path = DropPath(drop_path_rate)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, ratio=mlp_ratio, dropout_rate=dropout_rate, layer=nn.Linear)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, T, H, W); returns the same shape."""
        x = x + self.pos_embed(x)
        size = x.shape[2:]
        x = x.movedim(1, -1).flatten(1, 3)  # (N, L, C), L = T * H * W, time slowest
        if self.split:
            x = x + self.drop_path(self._divided_attention(x, num_frames=size[0]))
        else:
            x = x + self.drop_path(self.attn(self.norm1(x)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x.unflatten(1, size).movedim(-1, 1)

    def _divided_attention(self, x: Tensor, num_frames: int) -> Tensor:
        """Spatial attention of tokens that temporal attention has updated; x: (N, L, C), returns the same shape.

        The update serves the spatial attention alone: the caller adds the result to x, not to the updated tokens.
        """
        tokens = self.t_norm(x).unflatten(1, (num_frames, -1)).transpose(1, 2)  # (N, H * W, T, C)
        update = self.t_attn(tokens.flatten(0, 1)).view(tokens.shape).transpose(1, 2).flatten(1, 2)
        tokens = self.norm1(x + self.drop_path(update)).unflatten(1, (num_frames, -1))  # (N, T, H * W, C)
        return self.attn(tokens.flatten(0, 1)).view(x.shape)


class PatchEmbed(nn.Module):
    """Downsample by a strided convolution, kernel (kt, kh, kw) and stride (st, sh, sw), then LayerNorm."""

    def __init__(
        self, in_channels: int, dim: int, kernel_size: tuple[int, int, int], stride: tuple[int, int, int]
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.proj = nn.Conv3d(in_channels, dim, kernel_size, stride, padding=(kernel_size[0] // 2, 0, 0))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, T, H, W); returns (N, dim, T / st, H / sh, W / sw), channels-last in memory."""
        return self.norm(self.proj(x).movedim(1, -1)).movedim(-1, 1)


class FrozenRunningStats(AbstractContextManager):
    """Within it, a module's BatchNorm layers leave their running statistics alone; their outputs do not change."""

    def __init__(self, module: nn.Module) -> None:
        self.norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]

    def __enter__(self) -> None:
        self.saved = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        for norm in self.norms:
            norm.momentum, norm.num_batches_tracked = 0.0, norm.num_batches_tracked.clone()

    def __exit__(self, *exc_info: object) -> None:
        for norm, (momentum, num_batches_tracked) in zip(self.norms, self.saved, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, num_batches_tracked


def checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    """``block(x)``, whose activations are computed again in the backward pass instead of kept.

    The second computation does not update running statistics: a batch counts once, as without checkpointing.
    """
    return checkpoint(block, x, use_reentrant=False, context_fn=lambda: (nullcontext(), FrozenRunningStats(block)))


@MODEL_REGISTRY.register()
class Uniformer(nn.Module):
    """UniFormer: two stages of local blocks, two of global blocks, and a linear head on the mean token.

    Args:
        num_classes: K, the length of a logit row.
        in_channels: channels of a clip.
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
        ValueError: if a per-stage argument does not have four entries or ``head_dim`` does not divide.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
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
        if not isinstance(mlp_ratio, Sequence):
            mlp_ratio = (mlp_ratio,) * NUM_STAGES
        _check_per_stage("UNIFORMER.EMBED_DIM", embed_dim)
        _check_per_stage("UNIFORMER.DEPTH", depth)
        _check_per_stage("UNIFORMER.MLP_RATIO", mlp_ratio)
        _check_per_stage("MODEL.CHECKPOINT_NUM", checkpoint_num)
        if any(dim % head_dim for dim in embed_dim[2:]):
            raise ValueError(
                f"UNIFORMER.HEAD_DIM {head_dim} does not divide the channels of stages 3 and 4, {list(embed_dim[2:])}"
                " (UNIFORMER.EMBED_DIM); accepted: a common divisor of the two"
            )
        self.checkpoint_num = tuple(checkpoint_num)

        kernel_size = (3, 2, 2) if std else (1, 2, 2)
        self.patch_embed1 = PatchEmbed(in_channels, embed_dim[0], kernel_size=(3, 4, 4), stride=(2, 4, 4))
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
        self.apply(_init_weights)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "Uniformer":
        """Read ``UNIFORMER``, ``MODEL`` and ``DATA.INPUT_CHANNEL_NUM``."""
        return cls(
            num_classes=cfg.MODEL.NUM_CLASSES,
            in_channels=cfg.DATA.INPUT_CHANNEL_NUM[0],
            embed_dim=cfg.UNIFORMER.EMBED_DIM,
            depth=cfg.UNIFORMER.DEPTH,
            head_dim=cfg.UNIFORMER.HEAD_DIM,
            mlp_ratio=cfg.UNIFORMER.MLP_RATIO,
            split=cfg.UNIFORMER.SPLIT,
            std=cfg.UNIFORMER.STD,
            qkv_bias=cfg.UNIFORMER.QKV_BIAS,
            qkv_scale=cfg.UNIFORMER.QKV_SCALE,
            dropout_rate=cfg.UNIFORMER.DROPOUT_RATE,
            attention_dropout_rate=cfg.UNIFORMER.ATTENTION_DROPOUT_RATE,
            drop_depth_rate=cfg.UNIFORMER.DROP_DEPTH_RATE,
            checkpoint_num=cfg.MODEL.CHECKPOINT_NUM if cfg.MODEL.USE_CHECKPOINT else (0,) * NUM_STAGES,
        )

    def forward(self, clips: Tensor) -> Tensor:
        """Classify clips.

        Args:
            clips: float (N, C, T, H, W), normalised; any T, H and W multiples of 32.

        Returns:
            Logits (N, K).

        Raises:
            ValueError: for clips of another shape.
        """
        self._check_clips(clips)
        x = self.pos_drop(self.patch_embed1(clips))
        x = self._run_stage(self.blocks1, x, self.checkpoint_num[0])
        x = self._run_stage(self.blocks2, self.patch_embed2(x), self.checkpoint_num[1])
        x = self._run_stage(self.blocks3, self.patch_embed3(x), self.checkpoint_num[2])
        x = self._run_stage(self.blocks4, self.patch_embed4(x), self.checkpoint_num[3])
        return self.head(self.norm(x).flatten(2).mean(-1))

    def _check_clips(self, clips: Tensor) -> None:
        num_channels = self.patch_embed1.proj.in_channels
        is_accepted = clips.ndim == 5 and clips.shape[1] == num_channels
        if not is_accepted or clips.shape[3] % SPATIAL_STRIDE or clips.shape[4] % SPATIAL_STRIDE:
            raise ValueError(
                f"clips of shape {tuple(clips.shape)}; accepted: (N, {num_channels}, T, H, W) with H and W multiples of"
                f" {SPATIAL_STRIDE} (DATA.INPUT_CHANNEL_NUM, DATA.TRAIN_CROP_SIZE, DATA.TEST_CROP_SIZE)"
            )

    def _run_stage(self, blocks: nn.ModuleList, x: Tensor, num_checkpointed: int) -> Tensor:
        for block_idx, block in enumerate(blocks):
            recompute = block_idx < num_checkpointed and torch.is_grad_enabled()
            x = checkpointed(block, x) if recompute else block(x)
        return x


def _check_per_stage(key: str, values: Sequence[float]) -> None:
    if len(values) != NUM_STAGES:
        raise ValueError(f"{key} {list(values)} has {len(values)} entries; accepted: {NUM_STAGES}, one per stage")


def _init_weights(module: nn.Module) -> None:
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
