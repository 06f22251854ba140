"""The local and the global block of UniFormer (arXiv 2201.04676, section 3), and its patch embedding.

Parameter names are those of the published checkpoints. Volumes are (N, C, T, H, W), channels-last in memory; see
``slowfast.models.uniformer``.
"""

import torch
from torch import Tensor, nn

from slowfast.models.batch_norm import FoldableNorms
from slowfast.models.depthwise import DepthwiseConv3d
from slowfast.models.layers import DropPath, FusedAttention, PointwiseConv3d


class Mlp(nn.Module):
    """Two layers with a GELU between them, each followed by dropout (section 3.1, FFN)."""

    layer: type[nn.Module] = nn.Linear

    def __init__(self, dim: int, *, ratio: float, dropout_rate: float) -> None:
        super().__init__()
        hidden_dim = int(dim * ratio)
        self.fc1 = self.layer(dim, hidden_dim)
        self.act = nn.GELU()
        self.fc2 = self.layer(hidden_dim, dim)
        self.drop = nn.Dropout(dropout_rate)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., C); returns the same shape."""
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))


class VolumeMlp(Mlp):
    """The same of the channels of a volume, with the weights of 1x1x1 convolutions.

    Activation and dropout see the channels last, where memory is contiguous: GELU has a kernel of its own for that.
    """

    layer = PointwiseConv3d

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, T, H, W); returns the same shape."""
        hidden = self.drop(self.act(self.fc1(x).movedim(1, -1)))
        return self.drop(self.fc2(hidden.movedim(-1, 1)).movedim(1, -1)).movedim(-1, 1)


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
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.attend = FusedAttention(qkv_scale, attention_dropout_rate)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(dropout_rate)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, L, C), B independent sequences; returns the same shape."""
        return self.project(self.attend(*self.heads(x)))

    def heads(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values (B, heads, L, head_dim) of x (B, L, C)."""
        # (B, L, 3C) -> (B, L, 3, heads, head_dim)
        return self.qkv(x).unflatten(-1, (3, -1, self.head_dim)).permute(2, 0, 3, 1, 4).unbind(0)

    def project(self, attended: Tensor) -> Tensor:
        """The output (B, L, C) of what the heads gathered, (B, heads, L, head_dim)."""
        return self.proj_drop(self.proj(attended.transpose(1, 2).flatten(2)))


def plus_scaled(x: Tensor, branch: Tensor, gamma: nn.Parameter | None) -> Tensor:
    """A residual connection whose branch has a LayerScale, or none."""
    return x + branch if gamma is None else torch.addcmul(x, branch, gamma)


class LocalBlock(FoldableNorms, nn.Module):
    """DPE, local MHRA and FFN, all convolutional (equations 1 to 3).

    With ``layer_scale`` the outputs of the last two are multiplied by a learned number per channel (LayerScale, arXiv
    2103.17239), which starts there.
    """

    norm_readers = (("norm1", "conv1"), ("norm2", "mlp.fc1"))

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float,
        dropout_rate: float,
        drop_path_rate: float,
        layer_scale: float | None = None,
    ) -> None:
        super().__init__()
        for name in ("gamma_1", "gamma_2"):
            gamma = None if layer_scale is None else nn.Parameter(torch.full((1, dim, 1, 1, 1), layer_scale))
            self.register_parameter(name, gamma)
        self.pos_embed = DepthwiseConv3d(dim, kernel_size=3)
        self.norm1 = nn.BatchNorm3d(dim)
        self.conv1 = PointwiseConv3d(dim, dim)
        self.conv2 = PointwiseConv3d(dim, dim)
        self.attn = DepthwiseConv3d(dim, kernel_size=5)
        self.drop_path = DropPath(drop_path_rate)
        self.norm2 = nn.BatchNorm3d(dim)
        self.mlp = VolumeMlp(dim, ratio=mlp_ratio, dropout_rate=dropout_rate)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, T, H, W); returns the same shape."""
        x = x + self.pos_embed(x)
        # Local MHRA: value, depth-wise affinity over 5x5x5 neighbours, output.
        x = plus_scaled(x, self.drop_path(self.conv2(self.attn(self.conv1(self.norm1(x))))), self.gamma_1)
        return plus_scaled(x, self.drop_path(self.mlp(self.norm2(x))), self.gamma_2)


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
        self.mlp = Mlp(dim, ratio=mlp_ratio, dropout_rate=dropout_rate)

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
    """Downsample by a strided convolution, then LayerNorm.

    Args:
        in_channels, dim: channels before and after.
        kernel_size, stride: (kt, kh, kw) and (st, sh, sw).
        proj: the convolution, where it is not an ``nn.Conv3d`` of these.
    """

    def __init__(
        self,
        in_channels: int,
        dim: int,
        kernel_size: tuple[int, int, int],
        stride: tuple[int, int, int],
        proj: nn.Conv3d | None = None,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        padding = (kernel_size[0] // 2, 0, 0)
        self.proj = nn.Conv3d(in_channels, dim, kernel_size, stride, padding) if proj is None else proj

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, T, H, W); returns (N, dim, T / st, H / sh, W / sw), channels-last in memory."""
        return self.norm(self.proj(x).movedim(1, -1)).movedim(-1, 1)
