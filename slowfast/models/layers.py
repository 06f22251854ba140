"""Layers that both families share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.models.reference import FastPrimitive, plain_conv3d


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): in training, drop a residual branch, here for whole videos.

    Kept branches are scaled by 1 / (1 - drop_prob), so that the expectation does not change.

    Args:
        drop_prob: probability of dropping, in [0, 1).
        axis: each entry of this axis is dropped or kept by itself: 0, the videos; None, all at once.
    """

    def __init__(self, drop_prob: float = 0.0, axis: int | None = 0) -> None:
        super().__init__()
        if not 0.0 <= drop_prob < 1.0:
            raise ValueError(f"drop_prob {drop_prob} is outside [0, 1)")
        self.drop_prob = drop_prob
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, ...), a residual branch of N videos; returns the same shape."""
        if self.drop_prob == 0.0 or not self.training:
            return x
        keep_prob = 1.0 - self.drop_prob
        shape = [1] * x.ndim
        if self.axis is not None:
            shape[self.axis] = x.shape[self.axis]
        return x * x.new_empty(shape).bernoulli_(keep_prob).div_(keep_prob)

    def extra_repr(self) -> str:
        return f"drop_prob={self.drop_prob:g}, axis={self.axis}"


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), the activation of OpenAI's CLIP.

    Written with SiLU, silu(y) = y * sigmoid(y), whose fused kernel passes over memory less often, backward above all.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(1.702 * x) * (1 / 1.702)


class PointwiseConv3d(FastPrimitive, nn.Conv3d):
    """A 1x1x1 convolution, computed as the linear layer of the channels that it is.

    Where the memory of the input is channels-last, so is that of the output, and nothing is copied.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C_in, T, H, W); returns (N, C_out, T, H, W)."""
        return F.linear(x.movedim(1, -1), self.weight.flatten(1), self.bias).movedim(-1, 1)

    def reference(self) -> nn.Module:
        """An ``nn.Conv3d``."""
        return plain_conv3d(self)


class FusedAttention(FastPrimitive, nn.Module):
    """Scaled dot-product attention in one kernel.

    Args:
        scale: factor of the query-key products; None is ``head_dim ** -0.5``.
        dropout_rate: dropout of the attention weights.
        is_fused_upstream: whether the authors' code, too, leaves it to a fused kernel, in which fvcore counts nothing.
    """

    def __init__(
        self, scale: float | None = None, dropout_rate: float = 0.0, *, is_fused_upstream: bool = False
    ) -> None:
        super().__init__()
        self.scale = scale
        self.dropout_rate = dropout_rate
        self.is_fused_upstream = is_fused_upstream

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q: (B, heads, Lq, head_dim); k and v: (B, heads, L, head_dim); returns the shape of q."""
        dropout_p = self.dropout_rate if self.training else 0.0
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p, scale=self.scale)

    def reference(self) -> nn.Module:
        """Two products around a softmax."""
        return DotProductAttention(self.scale, self.dropout_rate, is_fused_upstream=self.is_fused_upstream)

    def extra_repr(self) -> str:
        return f"scale={self.scale}, dropout_rate={self.dropout_rate:g}"


class DotProductAttention(nn.Module):
    """The reference of ``FusedAttention``, of the same arguments: two matrix products around a softmax.

    The output of ``softmax`` are the attention weights, (B, heads, Lq, L).
    """

    def __init__(
        self, scale: float | None = None, dropout_rate: float = 0.0, *, is_fused_upstream: bool = False
    ) -> None:
        super().__init__()
        self.scale = scale
        self.is_fused_upstream = is_fused_upstream
        self.softmax = nn.Softmax(dim=-1)
        self.dropout = nn.Dropout(dropout_rate)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """As ``FusedAttention.forward``."""
        return self.dropout(self.weights(q, k)) @ v

    def weights(self, q: Tensor, k: Tensor) -> Tensor:
        """The attention weights (B, heads, Lq, L)."""
        scale = q.shape[-1] ** -0.5 if self.scale is None else self.scale
        return self.softmax(q @ k.transpose(-2, -1) * scale)


def linear_drop_path_rates(max_rate: float, num_blocks: int) -> list[float]:
    """Stochastic-depth rates that grow linearly from 0 at the first block to ``max_rate`` at the last."""
    return torch.linspace(0, max_rate, num_blocks, device="cpu").tolist()
