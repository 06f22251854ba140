"""Fast primitives and their reference formulations: the same network as a tree of plain modules.

A fast primitive computes with its parameters what plain modules would compute, in another order or with another kernel.
What hangs on modules (forward hooks, LoRA, quantisation, tools that count modules) finds nothing there to act on, and
does nothing, silently. ``use_reference`` gives a copy of a model on which it acts.

A new primitive derives from ``FastPrimitive`` and builds its own reference; no arrangement of modules is written twice.
"""

import copy

from torch import nn


class FastPrimitive:
    """What a module derives from, beside ``nn.Module``, if it has a formulation in plain modules."""

    def reference(self) -> nn.Module:
        """A module of the same function, call and state-dict keys, whose products are calls of ``nn.Linear`` and
        ``nn.Conv3d``.

        It takes over the very parameters and sub-modules of the primitive, which is not used again.
        """
        raise NotImplementedError(f"{type(self).__name__} has no reference formulation")


def use_reference(model: nn.Module) -> nn.Module:
    """A copy of a model with its fast primitives swapped for plain modules.

    Logits and gradients are the model's but for rounding. The copy's state dict has the published keys, and it loads
    state dicts that have them; between the two, parameters may have other names and shapes. In it, every module
    that owns parameters runs its ``forward``, and the output of every ``nn.Softmax`` are attention weights.

    Args:
        model: any module, in any mode, on any device; it is left as it is. Hooks on what is swapped stay behind:
            register them on the copy.

    Returns:
        The copy, slower than the model. It shares no memory with it.
    """
    return _swapped(copy.deepcopy(model), {})


def _swapped(module: nn.Module, done: dict[nn.Module, nn.Module]) -> nn.Module:
    """``module`` or its reference, and so for all beneath it; ``done`` keeps a module that stands twice one module."""
    if module not in done:
        done[module] = result = _reference_of(module) if isinstance(module, FastPrimitive) else module
        for name, child in result._modules.items():  # named_children() leaves out what stands twice
            if child is not None:
                result._modules[name] = _swapped(child, done)
    return done[module]


def _reference_of(module: nn.Module) -> nn.Module:
    modes = {part: part.training for part in module.modules()}
    reference = module.reference()
    for part in reference.modules():
        part.training = modes.get(part, module.training)
    return reference


def plain_linear(weight: nn.Parameter, bias: nn.Parameter | None) -> nn.Linear:
    """An ``nn.Linear`` of these parameters."""
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    linear.weight, linear.bias = weight, bias
    return linear


def plain_conv3d(conv: nn.Conv3d) -> nn.Conv3d:
    """An ``nn.Conv3d`` proper with the parameters of ``conv``."""
    padding = conv.padding
    if padding == "same":  # in numbers: tools that count read them
        padding = tuple(size // 2 for size in conv.kernel_size)
    has_bias = conv.bias is not None
    sizes = (conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride)
    plain = nn.Conv3d(*sizes, padding=padding, groups=conv.groups, bias=has_bias, device="meta")
    plain.weight, plain.bias = conv.weight, conv.bias
    return plain
