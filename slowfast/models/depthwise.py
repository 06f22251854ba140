"""Depth-wise 3-D convolution: the local relation of both families (DPE and local MHRA)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.models.reference import FastPrimitive, plain_conv3d


def depthwise_conv3d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Filter each channel with its own kernel, at stride 1 with 'same' zero padding.

    The result is that of ``F.conv3d(x, weight, bias, padding="same", groups=C)``; only memory layout and kernel are
    chosen here. On the CPU, oneDNN is several times faster on ``channels_last_3d`` than on the default layout.
    Elsewhere the default layout is used: CUDA has a native depth-wise kernel for it, which channels-last input does
    not reach.

    Args:
        x: (N, C, T, H, W), floating point, any memory layout.
        weight: (C, 1, kt, kh, kw), all three sizes odd.
        bias: (C,) or None.

    Returns:
        (N, C, T, H, W).

    Raises:
        ValueError: if a kernel size is even or the weight does not have one filter per channel.
    """
    num_channels = x.shape[1]
    kernel_size = weight.shape[2:]
    if weight.shape[:2] != (num_channels, 1) or any(k % 2 == 0 for k in kernel_size):
        raise ValueError(
            f"weight of shape {tuple(weight.shape)} does not fit {num_channels} channels; "
            f"accepted: ({num_channels}, 1, kt, kh, kw) with odd kt, kh, kw"
        )
    if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        # oneDNN's gradient of bfloat16 and float16 weights in these layouts holds memory that nothing was written to.
        with torch.autocast("cpu", enabled=False):
            filtered = depthwise_conv3d(x.float(), weight.float(), None if bias is None else bias.float())
        return filtered.to(torch.get_autocast_dtype("cpu"))
    if x.device.type == "cpu" and kernel_size[1:] == (1, 1):
        return _temporal_conv(x, weight, bias)
    layout = torch.channels_last_3d if x.device.type == "cpu" else torch.contiguous_format
    return F.conv3d(
        x.contiguous(memory_format=layout),
        weight,
        bias,
        padding=[k // 2 for k in kernel_size],
        groups=num_channels,
    )


def _temporal_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``depthwise_conv3d`` with a kernel over time alone.

    PyTorch keeps such kernels from oneDNN, and is ten times slower without it; as rows of images, (1, kt), they pass.
    """
    rows = x.flatten(3).transpose(2, 3)  # (N, C, H * W, T)
    weight = weight.flatten(3).transpose(2, 3)
    rows = rows.contiguous(memory_format=torch.channels_last)
    rows = F.conv2d(rows, weight, bias, padding=(0, weight.shape[3] // 2), groups=x.shape[1])
    return rows.transpose(2, 3).unflatten(3, x.shape[3:])


class DepthwiseConv3d(FastPrimitive, nn.Conv3d):
    """``depthwise_conv3d`` with the parameters, names and initialisation of an ``nn.Conv3d``.

    Args:
        dim: channels.
        kernel_size: (kt, kh, kw) or one number for all three; odd.
    """

    def __init__(self, dim: int, kernel_size: int | tuple[int, int, int]) -> None:
        super().__init__(dim, dim, kernel_size, padding="same", groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, T, H, W); returns the same shape."""
        return depthwise_conv3d(x, self.weight, self.bias)

    def reference(self) -> nn.Module:
        """An ``nn.Conv3d``."""
        return plain_conv3d(self)
