"""Layers that both families share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): in training, drop a residual branch for whole videos.

    Kept branches are scaled by 1 / (1 - drop_prob), so that the expectation does not change.

    Args:
        drop_prob: probability of dropping, in [0, 1).
    """

    def __init__(self, drop_prob: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= drop_prob < 1.0:
            raise ValueError(f"drop_prob {drop_prob} is outside [0, 1)")
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, ...) with one video per entry of the first axis; returns the same shape."""
        if self.drop_prob == 0.0 or not self.training:
            return x
        keep_prob = 1.0 - self.drop_prob
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        return x * x.new_empty(shape).bernoulli_(keep_prob).div_(keep_prob)

    def extra_repr(self) -> str:
        return f"drop_prob={self.drop_prob:g}"


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), the activation of OpenAI's CLIP.

    Written with SiLU, silu(y) = y * sigmoid(y), whose fused kernel passes over memory less often, backward above all.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(1.702 * x) * (1 / 1.702)


class PointwiseConv3d(nn.Conv3d):
    """A 1x1x1 convolution with the parameters of one, applied to tokens as the linear layer that it is."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., C_in); returns (..., C_out)."""
        return F.linear(x, self.weight.flatten(1), self.bias)


def linear_drop_path_rates(max_rate: float, num_blocks: int) -> list[float]:
    """Stochastic-depth rates that grow linearly from 0 at the first block to ``max_rate`` at the last."""
    return torch.linspace(0, max_rate, num_blocks, device="cpu").tolist()
