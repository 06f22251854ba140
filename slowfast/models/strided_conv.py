"""Strided 3-D convolutions of few frames, which PyTorch alone computes slowly on the CPU."""

import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.models.reference import FastPrimitive, plain_conv3d

# From so many rows on, or with several clips, or with kernels wider than 3, PyTorch leaves a convolution to oneDNN.
_MANY_ROWS = 20480


class PatchConv3d(FastPrimitive, nn.Conv3d):
    """A convolution whose kernel, (1, h, w), is its stride: each patch is a row of a matrix product.

    Where the memory of the input is channels-last, so is that of the output.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: tuple[int, int]) -> None:
        size = (1, *kernel_size)
        super().__init__(in_channels, out_channels, size, stride=size)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C_in, T, H, W), H and W multiples of the kernel; returns (N, C_out, T, H / h, W / w)."""
        _, h, w = self.kernel_size
        patches = x.movedim(1, -1).unflatten(3, (-1, w)).unflatten(2, (-1, h))  # (N, T, H / h, h, W / w, w, C_in)
        if x.numel() < self.weight.numel():  # the smaller of the two is put into another order
            rows, weight = patches.permute(0, 1, 2, 4, 6, 3, 5).flatten(-3), self.weight.flatten(1)
        else:
            rows, weight = patches.transpose(3, 4).flatten(-3), self.weight.movedim(1, -1).flatten(1)
        return F.linear(rows, weight, self.bias).movedim(-1, 1)

    def reference(self) -> nn.Module:
        """An ``nn.Conv3d``."""
        return plain_conv3d(self)


class StridedConv3d(FastPrimitive, nn.Conv3d):
    """A 3x3x3 convolution that halves height and width, and maybe time; padding 1.

    One clip of few rows gets a kernel of 3x4x4 whose last row and column are 0: it computes the same at even heights
    and widths, and PyTorch leaves it to oneDNN, which is about three times faster than what it takes otherwise.

    Args:
        in_channels, out_channels: as of ``nn.Conv3d``.
        stride_t: 1 or 2.
    """

    def __init__(self, in_channels: int, out_channels: int, stride_t: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, stride=(stride_t, 2, 2), padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C_in, T, H, W), H and W even; returns (N, C_out, T / stride_t rounded up, H / 2, W / 2)."""
        return self._conv_forward(x, self.weight, self.bias)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if x.device.type == "cpu" and x.shape[0] == 1 and x[0, ..., 0].numel() <= _MANY_ROWS:
            weight = F.pad(weight, (0, 1, 0, 1))
        return F.conv3d(x, weight, bias, self.stride, self.padding)

    def reference(self) -> nn.Module:
        """An ``nn.Conv3d``."""
        return plain_conv3d(self)
