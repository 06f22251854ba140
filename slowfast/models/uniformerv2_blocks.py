"""The local and the global UniBlock of UniFormerV2 (arXiv 2211.09552, section 3).

Tokens are (N, T, L, C) throughout: N videos, T frames (after temporal downsampling), L = 1 + H * W tokens per frame
with the class token first, C channels. Parameter names are those of the published checkpoints.
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.models.batch_norm import FoldableNorms
from slowfast.models.depthwise import DepthwiseConv3d
from slowfast.models.layers import DropPath, PointwiseConv3d, QuickGELU
from slowfast.models.reference import FastPrimitive
from slowfast.models.uniformerv2_attention import CrossAttention, SelfAttention
from slowfast.models.vit_style import CLIP_STYLE, ViTStyle

# UNIFORMERV2.DROP_PATH_STYLE -> the axis of DropPath for the tokens (N, T, L, C) of a LocalUniBlock: each video, or
# each token position, which is dropped in all frames of all videos alike.
TOKEN_DROP_AXIS = {"video": 0, "upstream": 2}
# The same for the video tokens (N, 1, C) of a GlobalUniBlock: each video, or all of them at once.
VIDEO_TOKEN_DROP_AXIS = {"video": 0, "upstream": None}


class QuickGELUFeedForward(FastPrimitive, nn.Sequential):
    """``feed_forward`` with QuickGELU, silu(1.702 y) / 1.702, whose factors the matrix products carry.

    The result is that of the layers one after another, without two passes over the hidden values.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., C); returns the same shape."""
        hidden = F.silu(_scaled_linear(x, self.c_fc.weight, 1.702 * self.c_fc.bias, 1.702))
        if hasattr(self, "dropout"):
            hidden = self.dropout(hidden)
        return _scaled_linear(hidden, self.c_proj.weight, self.c_proj.bias, 1 / 1.702)

    def reference(self) -> nn.Module:
        """The layers one after another."""
        return nn.Sequential(OrderedDict(self.named_children()))


def _scaled_linear(x: Tensor, weight: Tensor, bias: Tensor, scale: float) -> Tensor:
    """``scale`` times the product of x (..., C_in) and weight (C_out, C_in), plus bias: (..., C_out)."""
    return torch.addmm(bias, x.flatten(0, -2), weight.t(), alpha=scale).view(*x.shape[:-1], -1)


def feed_forward(
    dim: int, hidden_dim: int, *, dropout: float | None = None, activation: Callable[[], nn.Module] = QuickGELU
) -> nn.Sequential:
    """Two linear layers, an activation between them, and dropout before the second unless ``dropout`` is None."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(c_fc=nn.Linear(dim, hidden_dim), gelu=activation())
    if dropout is not None:
        layers["dropout"] = nn.Dropout(dropout)
    layers["c_proj"] = nn.Linear(hidden_dim, dim)
    return QuickGELUFeedForward(layers) if activation is QuickGELU else nn.Sequential(layers)


def patch_volume(x: Tensor) -> Tensor:
    """Patch tokens of (N, T, 1 + H*W, C) as a volume (N, C, T, H, W); a frame is square."""
    n, t, num_tokens, c = x.shape
    side = round((num_tokens - 1) ** 0.5)
    return x[:, :, 1:].reshape(n, t, side, side, c).permute(0, 4, 1, 2, 3)


def add_to_patches(x: Tensor, volume: Tensor) -> Tensor:
    """Add a volume (N, C, T, H, W) to the patch tokens of x (N, T, 1 + H*W, C); class tokens stay as they are."""
    patches = x[:, :, 1:] + volume.flatten(3).permute(0, 2, 3, 1)
    return torch.cat([x[:, :, :1], patches], dim=2)


class LocalTemporalAttention(FoldableNorms, nn.Module):
    """LT_MHRA: BatchNorm, 1x1x1 convolution, depth-wise (3, 1, 1) convolution, 1x1x1 convolution (paper, eq. 6).

    The last convolution starts at zero, so that at first the block is the image ViT's.

    Args:
        dim: channels C.
        reduction: the depth-wise convolution has floor(C / reduction) channels.
    """

    norm_readers = (("pos_embed.0", "pos_embed.1"),)

    def __init__(self, dim: int, reduction: float = 1.5) -> None:
        super().__init__()
        reduced = int(dim // reduction)
        self.pos_embed = nn.Sequential(
            nn.BatchNorm3d(dim),
            PointwiseConv3d(dim, reduced),
            DepthwiseConv3d(reduced, (3, 1, 1)),
            PointwiseConv3d(reduced, dim),
        )
        nn.init.zeros_(self.pos_embed[3].weight)
        nn.init.zeros_(self.pos_embed[3].bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, T, H, W); returns the same shape, without the residual."""
        return self.pos_embed(x.contiguous(memory_format=torch.channels_last_3d))


class LocalUniBlock(nn.Module):
    """A ViT block, with local temporal attention before its spatial attention and, if asked for, after it.

    Args:
        dim: channels C.
        num_heads: heads of the spatial attention.
        drop_path: stochastic-depth rate.
        drop_path_style: key of TOKEN_DROP_AXIS, for the attention and the MLP; LT_MHRA is dropped for whole videos.
        has_temporal: insert LT_MHRA before the spatial attention; without it the block is the image ViT's.
        is_double_temporal: insert a second LT_MHRA after the spatial attention.
        temporal_reduction: channel reduction inside LT_MHRA.
        style: activation and LayerNorm epsilon of the image ViT.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        drop_path: float = 0.0,
        drop_path_style: str = "video",
        has_temporal: bool = False,
        is_double_temporal: bool = True,
        temporal_reduction: float = 1.5,
        style: ViTStyle = CLIP_STYLE,
    ) -> None:
        super().__init__()
        self.lmhra1 = LocalTemporalAttention(dim, temporal_reduction) if has_temporal else None
        self.lmhra2 = LocalTemporalAttention(dim, temporal_reduction) if has_temporal and is_double_temporal else None
        self.attn = SelfAttention(dim, num_heads)
        self.ln_1 = nn.LayerNorm(dim, eps=style.norm_eps)
        self.mlp = feed_forward(dim, 4 * dim, activation=style.activation_layer())
        self.ln_2 = nn.LayerNorm(dim, eps=style.norm_eps)
        self.temporal_drop_path = DropPath(drop_path) if has_temporal else None
        self.drop_path = DropPath(drop_path, TOKEN_DROP_AXIS[drop_path_style])

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, T, L, C); returns the same shape."""
        n, t = x.shape[:2]
        if self.lmhra1 is not None:
            x = add_to_patches(x, self.temporal_drop_path(self.lmhra1(patch_volume(x))))
        attended = self.attn(self.ln_1(x).flatten(0, 1)).unflatten(0, (n, t))  # each frame by itself
        x = x + self.drop_path(attended)
        if self.lmhra2 is not None:
            x = add_to_patches(x, self.temporal_drop_path(self.lmhra2(patch_volume(x))))
        return x + self.drop_path(self.mlp(self.ln_2(x)))


class GlobalUniBlock(nn.Module):
    """Cross attention of the video token to all tokens, and a feed-forward network (paper, eq. 8 to 10).

    The position encoding (DPE) that precedes it lives beside it in the transformer, as in the published checkpoints.
    Output projection and second feed-forward layer start at zero, so that at first the video token stays zero.

    Args:
        dim: channels C.
        num_heads: heads of the cross attention.
        mlp_factor: hidden width of the feed-forward network over C.
        dropout: dropout after its activation.
        drop_path: stochastic-depth rate.
        drop_path_style: key of VIDEO_TOKEN_DROP_AXIS.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        mlp_factor: float = 4.0,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        drop_path_style: str = "video",
    ) -> None:
        super().__init__()
        self.attn = CrossAttention(dim, num_heads)
        self.ln_1 = nn.LayerNorm(dim)
        self.mlp = feed_forward(dim, round(mlp_factor * dim), dropout=dropout)
        self.ln_2 = nn.LayerNorm(dim)
        self.ln_3 = nn.LayerNorm(dim)
        self.drop_path = DropPath(drop_path, VIDEO_TOKEN_DROP_AXIS[drop_path_style])
        nn.init.zeros_(self.attn.out_proj.weight)
        nn.init.xavier_uniform_(self.mlp.c_fc.weight)
        nn.init.zeros_(self.mlp.c_proj.weight)
        nn.init.zeros_(self.mlp.c_proj.bias)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """query: (N, 1, C), the video token; tokens: (N, T * L, C); returns (N, 1, C)."""
        query = query + self.drop_path(self.attn(self.ln_1(query), self.ln_3(tokens)))
        return query + self.drop_path(self.mlp(self.ln_2(query)))
