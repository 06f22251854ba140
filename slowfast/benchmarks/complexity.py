"""How large a model is: parameters, multiply-adds and activations of one forward, and the operations of a step.

The model runs on tensors that have a shape and no memory, so that the largest takes seconds on any machine. The
operations are those of the CPU.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from slowfast.benchmarks.operation_costs import has_formula, is_product, multiply_adds, no_formula, norm_operations
from slowfast.models.layers import DotProductAttention
from slowfast.models.reference import use_reference
from slowfast.models.registry import logits_of_heads


class Complexity(NamedTuple):
    """Sizes of a model and of its forward on one clip.

    Attributes:
        num_parameters: elements of all parameters; buffers are not counted.
        num_trained_parameters: of those that get a gradient.
        fvcore_multiply_adds: what fvcore counts in the authors' code, as model zoos do. A LayerNorm counts 5 for an
            element and a BatchNorm 2; the attention inside UniFormerV2's image ViT, a fused kernel of
            ``nn.MultiheadAttention``, counts nothing.
        plain_multiply_adds: of all convolutions and matrix products of the model's reference (``use_reference``), and
            of nothing else.
        multiply_adds: the same of the model as it computes here.
        num_activations: elements that its convolutions, matrix products and attentions put out.
    """

    num_parameters: int
    num_trained_parameters: int
    fvcore_multiply_adds: int
    plain_multiply_adds: int
    multiply_adds: int
    num_activations: int


def measure_complexity(model: nn.Module, clip_shape: Sequence[int]) -> Complexity:
    """Count parameters, multiply-adds and activations.

    The forward runs without gradient, where no activation checkpointing takes place: nothing counts twice.

    Args:
        model: on any device, the meta device included; it is left as it is.
        clip_shape: (C, T, H, W).
    """
    shape = (1, *clip_shape)
    plain = count_operations(use_reference(model), shape)
    ours = count_operations(model, shape)
    return Complexity(
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        num_trained_parameters=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        fvcore_multiply_adds=plain.multiply_adds - plain.fused_upstream_multiply_adds + plain.norm_operations,
        plain_multiply_adds=plain.multiply_adds,
        multiply_adds=ours.multiply_adds,
        num_activations=ours.num_activations,
    )


def count_operations(model: nn.Module, shape: Sequence[int], *, has_backward: bool = False) -> "OperationCounter":
    """Count the operations of a forward in evaluation mode or, with ``has_backward``, of a training step without its
    update.

    Args:
        model: on any device; it is left as it is.
        shape: of the clips, (N, C, T, H, W).
        has_backward: count the backward pass, too; in training mode.
    """
    with without_memory(model) as model, OperationCounter() as counter, torch.set_grad_enabled(has_backward):
        counter.watch_attentions(model)
        heads = logits_of_heads(model.train(has_backward)(torch.empty(shape)))
        if has_backward:
            sum(logits.sum() for logits in heads).backward()
    return counter


@contextmanager
def without_memory(model: nn.Module) -> Iterator[nn.Module]:
    """Within it, tensors have no memory: a copy of the model on the CPU whose operations compute shapes only."""
    model = copy.deepcopy(model).to("meta")  # PyTorch 2.6 mixes up tensors with memory and those without
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cpu"):
        yield model.to_empty(device="cpu")


class OperationCounter(TorchDispatchMode):
    """Counts what the operations inside the ``with`` statement cost.

    Attributes:
        multiply_adds: of convolutions, matrix products and fused attention.
        fused_upstream_multiply_adds: the share of the watched attentions' forwards that the authors' code leaves to a
            fused kernel.
        norm_operations: of normalisations in evaluation mode, by fvcore's rule.
        num_activations: elements that these operations put out, one output of each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.multiply_adds = 0
        self.fused_upstream_multiply_adds = 0
        self.norm_operations = 0
        self.num_activations = 0

    def watch_attentions(self, model: nn.Module) -> None:
        """Tell apart what the reference attentions of a model count, by hooks that stay on it."""
        for module in model.modules():
            if isinstance(module, DotProductAttention) and module.is_fused_upstream:
                module.register_forward_pre_hook(lambda *_args: self._add_fused_upstream(-self.multiply_adds))
                module.register_forward_hook(lambda *_args: self._add_fused_upstream(self.multiply_adds))

    def _add_fused_upstream(self, multiply_adds: int) -> None:
        self.fused_upstream_multiply_adds += multiply_adds

    def __torch_dispatch__(self, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if is_product(operation) and not has_formula(operation):
            return self._run_parts(operation, args, kwargs)
        result = operation(*args, **kwargs)
        self.norm_operations += norm_operations(operation, args, kwargs) or 0
        count = multiply_adds(operation, args, kwargs, result)
        if count is not None:
            self.multiply_adds += count
            outputs = result if isinstance(result, (tuple, list)) else (result,)
            self.num_activations += next(output.numel() for output in outputs if output is not None)
        return result

    def _run_parts(self, operation: Any, args: tuple, kwargs: dict) -> Any:
        """Run a product that is made of others, which count in its place."""
        before = self.multiply_adds
        with self:
            result = operation.decompose(*args, **kwargs)
        if result is NotImplemented or self.multiply_adds == before:
            raise no_formula(operation)
        return result
