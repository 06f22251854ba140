"""What an operation of PyTorch costs, by formulas of our own.

An operation is known by its name and read by the names of its arguments, so that a kernel that another version of
PyTorch prefers counts the same. One whose name says that it is an attention, a matrix product, a convolution or a
normalisation, and that has no formula here, is an error: a figure without it would be wrong, silently.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from slowfast.errors import UserError

Arguments = Mapping[str, Any]


def multiply_adds(operation: Any, args: tuple, kwargs: Mapping[str, Any], result: Any) -> int | None:
    """Count the multiply-adds of one call of an operation; None where it is no product at all.

    Padding counts like pixels, and masked (causal) attention like all.

    Args:
        operation: an ``OpOverload``.
        args: of the call.
        kwargs: of the call.
        result: what the call returned.

    Raises:
        UserError: for a product without a formula.
    """
    if not is_product(operation):
        return None
    formula = _product_formula(operation)
    if formula is None:
        raise no_formula(operation)
    return formula(_bound(operation, args, kwargs), result)


def norm_operations(operation: Any, args: tuple, kwargs: Mapping[str, Any]) -> int | None:
    """Count a normalisation in evaluation mode by fvcore's rule; None where an operation is none.

    Args:
        operation, args, kwargs: as for ``multiply_adds``.

    Raises:
        UserError: for a normalisation without a formula.
    """
    name = _name(operation)
    if "backward" in name or not (found := _NORM.search(name)):
        return None
    if operation.namespace != "aten" or name not in _NORMS:
        raise no_formula(operation)
    arguments = _bound(operation, args, kwargs)
    of_input, of_affine = _NORM_COSTS[found[1]]
    return arguments["input"].numel() * (of_input + (of_affine if arguments.get("weight") is not None else 0))


def no_formula(operation: Any) -> UserError:
    """The error that an operation of these kinds cannot be counted."""
    return UserError(
        f"{operation} of PyTorch {torch.__version__} is a product or a normalisation by its name and has no formula;"
        f" accepted: scaled_dot_product attentions, {', '.join([*_FORMULAS, *_NORMS])}; add its formula to"
        " slowfast/benchmarks/operation_costs.py"
    )


def is_product(operation: Any) -> bool:
    """Whether an operation is an attention, a matrix product or a convolution, by the words of its name."""
    words = _name(operation).split("_")
    return any(_PRODUCT.fullmatch(word) for word in words) and not _NO_PRODUCT.intersection(words)


def has_formula(operation: Any) -> bool:
    """Whether ``multiply_adds`` can count a product; one that it cannot may be made of others."""
    return _product_formula(operation) is not None


# Words of names, with the number of dimensions that some end with.
_PRODUCT = re.compile(
    r"(attention|attn|sdpa|mha|transformer|\w*mm|\w*gemm|\w*matmul|mv|addmv|\w*dot|einsum|\w*linear|conv(?!ert)[a-z]*"
    r"|rnn)(\d+d?)?"
)
# Words that say that one interpolates, or prepares weights for a product.
_NO_PRODUCT = {"upsample", "reorder", "prepack", "pack", "quantize", "flatten", "combination"}


def _name(operation: Any) -> str:
    """Without name space, overload and the mark of an operation in place: of ``aten.addmm_.default``, addmm."""
    return operation._schema.name.split("::")[-1].rstrip("_")


def _bound(operation: Any, args: tuple, kwargs: Mapping[str, Any]) -> Arguments:
    names = [argument.name for argument in operation._schema.arguments]
    return {**dict(zip(names, args, strict=False)), **kwargs}


def _product_of(left: str) -> Callable[[Arguments, Tensor], int]:
    """Every element of the result is a sum over the last axis of the argument ``left``."""
    return lambda arguments, result: result.numel() * arguments[left].shape[-1]


def _sum_of_products(arguments: Arguments, _result: Tensor) -> int:
    return arguments["batch1"].numel() * arguments["batch2"].shape[-1]


def _convolution(arguments: Arguments, result: Tensor) -> int:
    """Each output, or each input of a transposed one, meets one filter."""
    weight, elements = arguments["weight"], arguments["input"] if arguments["transposed"] else result
    return elements.numel() * math.prod(weight.shape[1:])


def _convolution_backward(arguments: Arguments, _result: Any) -> int:
    """As much as the forward for the gradient of the input, and again for that of the weight."""
    needs_input, needs_weight, _needs_bias = arguments["output_mask"]
    return _convolution(arguments, arguments["grad_output"]) * (needs_input + needs_weight)


def _attention(arguments: Arguments, _result: Any) -> int:
    """Scores, and the sum of values by their softmax; (B, heads, L, head_dim) each."""
    query, key, value = (arguments[name] for name in ("query", "key", "value"))
    return math.prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def _attention_backward(arguments: Arguments, _result: Any) -> int:
    """Scores once more; the gradients of scores, queries and keys; and those of softmax and values."""
    query, key, value = (arguments[name] for name in ("query", "key", "value"))
    return math.prod(query.shape[:-1]) * key.shape[-2] * (3 * query.shape[-1] + 2 * value.shape[-1])


_FORMULAS: dict[str, Callable[[Arguments, Any], int]] = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot", "_int_mm", "_scaled_mm"), _product_of("self")),
    **dict.fromkeys(("addmm", "_addmm_activation"), _product_of("mat1")),
    "addmv": _product_of("mat"),
    "baddbmm": _product_of("batch1"),
    "addbmm": _sum_of_products,
    "linear": _product_of("input"),
    **dict.fromkeys(("convolution", "_convolution", "convolution_overrideable"), _convolution),
    **dict.fromkeys(("convolution_backward", "convolution_backward_overrideable"), _convolution_backward),
}
_ATTENTION = re.compile(r"_?scaled_dot_product_([a-z]+_)*?attention(_[a-z]+)*?(?P<backward>_backward)?")
_NORM = re.compile(r"(layer|batch|group|instance)_norm")
_NORMS = (
    *("layer_norm", "native_layer_norm", "group_norm", "native_group_norm", "instance_norm"),
    *("batch_norm", "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"),
    *("_batch_norm_with_update", "_batch_norm_no_update", "cudnn_batch_norm", "miopen_batch_norm"),
)
# Of an element, and what its weight and bias add.
_NORM_COSTS = {"layer": (4, 1), "group": (4, 1), "instance": (4, 1), "batch": (1, 1)}


def _product_formula(operation: Any) -> Callable[[Arguments, Any], int] | None:
    if operation.namespace != "aten":
        return None
    name = _name(operation)
    if found := _ATTENTION.fullmatch(name):
        return _attention_backward if found["backward"] else _attention
    return _FORMULAS.get(name)
