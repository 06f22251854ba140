"""Parameters, multiply-adds and activations: the published figures, fvcore's, and those of single operations."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from slowfast.benchmarks.complexity import OperationCounter, count_operations, measure_complexity
from slowfast.benchmarks.operation_costs import multiply_adds
from slowfast.config import load_config
from slowfast.errors import UserError
from slowfast.models import build_model
from slowfast.models.reference import use_reference
from tests.golden_rule import load_golden
from tests.models.tiny_models import tiny_light, tiny_uniformer, tiny_uniformerv2

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # fvcore compiles a function while it is imported
    from fvcore.nn import FlopCountAnalysis


@pytest.mark.parametrize(
    "name",
    [
        "uniformerv2_b16_k400_8x224",
        "uniformer_s_k400_16x224",
        "uniformer_xxs_4x128",
        "uniformer_xxs_8x160",
        "uniformer_xs_8x128",
        pytest.param("uniformerv2_b16_ssv2_16x224", marks=pytest.mark.slow),
        pytest.param("uniformerv2_b16_frozen_8x224", marks=pytest.mark.slow),
        pytest.param("uniformer_s_split_8x224", marks=pytest.mark.slow),
    ],
)
def test_published_sizes_are_reproduced(name):
    golden = load_golden(name)
    with torch.device("meta"):
        model = build_model(load_config(None, [word for pair in golden["config"].items() for word in pair]))
    complexity = measure_complexity(model, golden["input_shape"][1:])
    assert complexity.num_parameters == golden["params"]
    assert complexity.fvcore_multiply_adds == golden["macs_reference"]
    if golden["config"]["MODEL.MODEL_NAME"] == "Uniformer":
        assert complexity.multiply_adds == complexity.plain_multiply_adds < complexity.fvcore_multiply_adds
    elif golden["config"]["MODEL.MODEL_NAME"].startswith("Uniformer_light"):
        # The class token's scores are computed beside the attention, and kernels of the stem padded with zeros.
        assert complexity.plain_multiply_adds < complexity.multiply_adds < 1.11 * complexity.plain_multiply_adds
    else:  # the folded cross attention needs no keys and values of all tokens
        assert complexity.multiply_adds < complexity.plain_multiply_adds
    assert all(parameter.device.type == "meta" for parameter in model.parameters())


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(
    "build",
    [tiny_uniformer, lambda: tiny_uniformer(split=True, std=True), tiny_light],
    ids=["default", "split", "light"],
)
def test_fvcore_counts_the_same(build):
    model = build().eval()
    analysis = FlopCountAnalysis(use_reference(model), torch.randn(1, 3, 4, 64, 32))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    assert measure_complexity(model, (3, 4, 64, 32)).fvcore_multiply_adds == analysis.total()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["Uniformer", "Uniformerv2"])
def test_checkpointing_counts_nothing_twice(family):
    def build(has_checkpointing):
        if family == "Uniformer":
            return tiny_uniformer(checkpoint_num=(2, 1, 2, 1) if has_checkpointing else (0, 0, 0, 0))
        return tiny_uniformerv2(MODEL__USE_CHECKPOINT=has_checkpointing, MODEL__CHECKPOINT_NUM=[3, 0, 0, 0])

    shape = (3, 4, 32, 32)
    assert measure_complexity(build(True), shape) == measure_complexity(build(False), shape)


def test_the_folded_cross_attention_saves_keys_and_values():
    tokens, width, heads = 4 * 17, 24, 3
    complexity = measure_complexity(tiny_uniformerv2(), (3, 4, 16, 16))
    # In each global block: no keys and values of all tokens, but the query and the output folded once per head, and
    # scores and sums of C values per head in place of C / heads.
    saved = 2 * tokens * width**2 - 2 * width**2 - 2 * tokens * width * (heads - 1)
    assert complexity.plain_multiply_adds - complexity.multiply_adds == 2 * saved


def test_frozen_parameters_are_told_apart():
    complexity = measure_complexity(
        tiny_uniformerv2(UNIFORMERV2__FROZEN=True, UNIFORMERV2__NO_LMHRA=True), (3, 4, 16, 16)
    )
    model = tiny_uniformerv2(UNIFORMERV2__FROZEN=True, UNIFORMERV2__NO_LMHRA=True)
    frozen = sum(parameter.numel() for parameter in model.backbone_parameters())
    assert complexity.num_parameters - complexity.num_trained_parameters == frozen > 0


def test_the_model_is_left_as_it_is():
    model = tiny_uniformerv2().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure_complexity(model, (3, 4, 16, 16))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# ---------------------------------------------------------------- single operations


def counted(function):
    with OperationCounter() as counter:
        function()
    return counter


@pytest.mark.parametrize(
    ("function", "multiply_adds", "num_activations"),
    [
        (lambda: F.linear(torch.ones(2, 5, 3), torch.ones(7, 3), torch.ones(7)), 2 * 5 * 3 * 7, 2 * 5 * 7),
        (lambda: torch.ones(2, 4, 3) @ torch.ones(2, 3, 5), 2 * 4 * 3 * 5, 2 * 4 * 5),
        (lambda: F.conv3d(torch.ones(1, 3, 4, 8, 8), torch.ones(6, 3, 1, 2, 2), stride=(1, 2, 2)), 6 * 64 * 12, 6 * 64),
        (lambda: F.conv3d(torch.ones(1, 6, 4, 4, 4), torch.ones(6, 1, 3, 3, 3), padding=1, groups=6), 384 * 27, 384),
        (lambda: F.scaled_dot_product_attention(*[torch.ones(1, 2, 5, 8)] * 3), 2 * 2 * 5 * 5 * 8, 80),
        (lambda: torch.ones(3, 4) + torch.ones(3, 4), 0, 0),
        (lambda: F.conv_transpose3d(torch.ones(1, 3, 2, 2, 2), torch.ones(3, 6, 1, 2, 2), stride=2), 24 * 24, 6 * 48),
        (lambda: torch.addmm(torch.ones(7), torch.ones(5, 3), torch.ones(3, 7)), 5 * 3 * 7, 5 * 7),
        (lambda: torch.ones(5, 7).addmm_(torch.ones(5, 3), torch.ones(3, 7)), 5 * 3 * 7, 5 * 7),
        (lambda: torch.mm(torch.ones(5, 3), torch.ones(3, 7), out=torch.empty(5, 7)), 5 * 3 * 7, 5 * 7),
        (lambda: torch.baddbmm(torch.ones(2, 4, 5), torch.ones(2, 4, 3), torch.ones(2, 3, 5)), 2 * 4 * 3 * 5, 40),
        (lambda: torch.addbmm(torch.ones(4, 5), torch.ones(2, 4, 3), torch.ones(2, 3, 5)), 2 * 4 * 3 * 5, 20),
        (lambda: torch.mv(torch.ones(5, 3), torch.ones(3)), 5 * 3, 5),
        (lambda: torch.addmv(torch.ones(5), torch.ones(5, 3), torch.ones(3)), 5 * 3, 5),
        (lambda: torch.dot(torch.ones(3), torch.ones(3)), 3, 1),
        (lambda: torch.einsum("nqhd,hdc->nqhc", torch.ones(2, 1, 3, 4), torch.ones(3, 4, 5)), 2 * 3 * 4 * 5, 30),
        (lambda: F.interpolate(torch.ones(1, 1, 4, 4), scale_factor=2, mode="bilinear"), 0, 0),
    ],
    ids=[
        *("linear", "product", "conv", "depthwise", "attention", "sum", "transposed", "addmm", "in_place", "out"),
        *("baddbmm", "addbmm", "mv", "addmv", "dot", "einsum", "interpolation"),
    ],
)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_an_operation_counts_its_multiply_adds_and_outputs(function, multiply_adds, num_activations, mode):
    with mode():  # in inference mode, operations come whole that are taken apart elsewhere
        counter = counted(function)
    assert (counter.multiply_adds, counter.num_activations) == (multiply_adds, num_activations)
    assert counter.norm_operations == 0


@pytest.mark.parametrize(
    ("name", "heads", "is_backward"),
    [
        ("_scaled_dot_product_flash_attention", 2, False),
        ("_scaled_dot_product_flash_attention_for_cpu", 2, False),
        ("_scaled_dot_product_efficient_attention", 2, False),
        ("_scaled_dot_product_cudnn_attention", 2, False),
        ("_scaled_dot_product_fused_attention_overrideable", 2, False),
        ("_scaled_dot_product_attention_math", 2, False),
        ("scaled_dot_product_attention", 2, False),
        ("scaled_dot_product_attention", 1, False),  # keys and values that the heads of the queries share
        ("_scaled_dot_product_flash_attention_backward", 2, True),
        ("_scaled_dot_product_flash_attention_for_cpu_backward", 2, True),
        ("_scaled_dot_product_efficient_attention_backward", 2, True),
        ("_scaled_dot_product_cudnn_attention_backward", 2, True),
        ("_scaled_dot_product_fused_attention_overrideable_backward", 2, True),
    ],
)
def test_attention_counts_the_same_by_whatever_kernel(name, heads, is_backward):
    operation = getattr(torch.ops.aten, name).default
    query, key, value = torch.ones(3, 2, 5, 8), torch.ones(3, heads, 7, 8), torch.ones(3, heads, 7, 6)
    gradient = torch.ones(3, 2, 5, 6)
    args = (gradient, query, key, value) if is_backward else (query, key, value)
    products = 3 * 2 * 5 * 7
    expected = products * (3 * 8 + 2 * 6) if is_backward else products * (8 + 6)
    assert multiply_adds(operation, args, {}, gradient) == expected


def made_up(name, schema):
    """An operation that no version of PyTorch has."""
    torch.library.define(f"made_up::{name}", schema)
    torch.library.impl(f"made_up::{name}", "CompositeExplicitAutograd", lambda *args: args[0].clone())
    return getattr(torch.ops.made_up, name)


@pytest.mark.parametrize(
    "name",
    [
        *("novel_attention", "_scaled_dot_product_novel_attention", "flash_attn_backward", "mm", "novel_mm_"),
        *(
            "int3_matmul",
            "packed_linear",
            "conv5d",
            "novel_convolution_backward",
            "multi_dot",
            "einsum",
            "hipblas_gemm",
        ),
        *("novel_layer_norm", "batch_norm"),
    ],
)
def test_an_unknown_product_is_an_error_that_names_it(name):
    operation = made_up(name, "(Tensor query, Tensor key, Tensor value) -> Tensor")
    with pytest.raises(UserError, match=rf"made_up.{name}.default of PyTorch .* has no formula; accepted: .*mm"):
        counted(lambda: operation(*[torch.ones(2, 3)] * 3))


@pytest.mark.parametrize(
    "name", ["lgamma", "convert_dtype", "upsample_linear1d", "hamming_window", "softmax", "summary"]
)
def test_a_name_that_only_looks_like_a_product_is_none(name):
    operation = made_up(name, "(Tensor x) -> Tensor")
    assert counted(lambda: operation(torch.ones(2))).multiply_adds == 0


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda: torch.ops.aten._trilinear(*[torch.ones(2, 3)] * 3, [], [], [], [0]), "aten._trilinear"),
        (lambda: torch.sparse.mm(torch.eye(2).to_sparse(), torch.eye(2)), "aten._sparse_addmm"),
    ],
    ids=["trilinear", "sparse"],
)
def test_a_product_of_pytorch_without_a_formula_is_an_error(function, name):
    with pytest.raises(UserError, match=f"{name}.default of PyTorch"):
        counted(function)


def test_norms_count_by_fvcores_rule():
    x = torch.ones(2, 3, 4, 4, 4)
    assert counted(lambda: nn.BatchNorm3d(3).eval()(x)).norm_operations == 2 * x.numel()
    assert counted(lambda: nn.LayerNorm(4)(x)).norm_operations == 5 * x.numel()
    assert counted(lambda: nn.LayerNorm(4, elementwise_affine=False)(x)).norm_operations == 4 * x.numel()
    assert counted(lambda: nn.BatchNorm3d(3)(x)).norm_operations == 2 * x.numel()
    assert counted(lambda: nn.GroupNorm(3, 3)(x)).norm_operations == 5 * x.numel()
    with torch.inference_mode():
        assert counted(lambda: nn.BatchNorm3d(3).eval()(x)).norm_operations == 2 * x.numel()
        assert counted(lambda: nn.LayerNorm(4)(x)).norm_operations == 5 * x.numel()


def test_the_backward_of_a_depthwise_convolution_counts_twice_its_forward():
    conv = nn.Conv3d(6, 6, 3, padding=1, groups=6)
    forward = count_operations(conv, (1, 6, 4, 4, 4)).multiply_adds
    # the clips need no gradient, so that of the two halves of the backward only the weight's is there
    assert count_operations(conv, (1, 6, 4, 4, 4), has_backward=True).multiply_adds == 2 * forward
    twice = nn.Sequential(conv, conv)
    assert count_operations(twice, (1, 6, 4, 4, 4), has_backward=True).multiply_adds == 2 * forward + 3 * forward
