"""BatchNorm of a trained model as a part of the layer beside it: the same function with a layer less."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class FoldableNorms:
    """What a module derives from, beside ``nn.Module``, if linear layers alone read some of its BatchNorm layers.

    Attributes:
        norm_readers: names of a BatchNorm layer and of the only layer that reads its output, an ``nn.Linear`` or a
            1x1x1 convolution. A mean over tokens may lie between them, which changes nothing.
        norm_writers: names of a BatchNorm layer and of the convolution, of any kind, whose output it alone reads.
    """

    norm_readers: ClassVar[Sequence[tuple[str, str]]] = ()
    norm_writers: ClassVar[Sequence[tuple[str, str]]] = ()


@torch.no_grad()
def fold_batch_norms(model: nn.Module) -> list[str]:
    """Make BatchNorm layers a part of the layers that read them, or that they read, in place, for evaluation.

    With s = weight / sqrt(variance + eps), W (s (x - mean) + bias) + b = (W s) x + (b + W (bias - s mean)). A
    convolution that pads cannot take in the norm before it: its padding would have to be -mean / s in place of 0. It
    can take in the norm behind it (``normed_conv``).

    Args:
        model: its parameters change; a layer that is folded becomes an ``nn.Identity``.

    Returns:
        Names of the layers that were folded.
    """
    folded = []
    for prefix, module in list(model.named_modules()):
        for norm_name, reader_name in module.norm_readers if isinstance(module, FoldableNorms) else ():
            norm, reader = module.get_submodule(norm_name), module.get_submodule(reader_name)
            if _can_fold(norm, reader):
                _fold(norm, reader)
                module.set_submodule(norm_name, nn.Identity())
                folded.append(f"{prefix}.{norm_name}".lstrip("."))
        for norm_name, writer_name in module.norm_writers if isinstance(module, FoldableNorms) else ():
            norm, writer = module.get_submodule(norm_name), module.get_submodule(writer_name)
            if _is_affine(norm) and writer.bias is not None:
                weight, bias = _with_norm(writer, norm)
                writer.weight.copy_(weight)
                writer.bias.copy_(bias)
                module.set_submodule(norm_name, nn.Identity())
                folded.append(f"{prefix}.{norm_name}".lstrip("."))
    return folded


def normed_conv(x: Tensor, conv: nn.Conv3d, norm: nn.Module) -> Tensor:
    """``norm(conv(x))``; in evaluation, a BatchNorm is computed as a part of the convolution.

    With s = weight / sqrt(variance + eps), s (W x + b - mean) + bias = (s W) x + (s (b - mean) + bias).

    Args:
        x: (N, C_in, T, H, W).
        conv: with a bias.
        norm: of its output.
    """
    if norm.training or not _is_affine(norm):
        return norm(conv(x))
    return conv._conv_forward(x, *_with_norm(conv, norm))


def _is_affine(norm: nn.Module) -> bool:
    """Whether it is a BatchNorm that adds and multiplies numbers that are known in evaluation."""
    return isinstance(norm, nn.BatchNorm3d) and norm.running_mean is not None and norm.affine


def _with_norm(conv: nn.Conv3d, norm: nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that its norm is a part of, as differentiable as they are."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return conv.weight * scale.view(-1, 1, 1, 1, 1), scale * (conv.bias - norm.running_mean) + norm.bias


def _can_fold(norm: nn.Module, reader: nn.Module) -> bool:
    if not isinstance(norm, _BatchNorm) or norm.running_mean is None:
        return False
    is_pointwise = isinstance(reader, nn.Conv3d) and (
        set(reader.kernel_size) == {1} and set(reader.stride) == {1} and reader.groups == 1 and not any(reader.padding)
    )
    return (is_pointwise or isinstance(reader, nn.Linear)) and reader.bias is not None


def _fold(norm: _BatchNorm, reader: nn.Linear | nn.Conv3d) -> None:
    """In float64, so that only one rounding is added."""
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double() * scale
    if norm.affine:
        scale, shift = scale * norm.weight.double(), shift * norm.weight.double() + norm.bias.double()
    matrix = reader.weight.flatten(1).double()  # (out, in)
    reader.bias.copy_(reader.bias.double() + matrix @ shift)
    reader.weight.copy_((matrix * scale).view(reader.weight.shape))
