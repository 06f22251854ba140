"""Parameters, multiply-adds and activations: the published figures, fvcore's, and those of single operations."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from slowfast.benchmarks.complexity import OperationCounter, count_operations, measure_complexity
from slowfast.config import load_config
from slowfast.models import build_model
from slowfast.models.reference import use_reference
from tests.golden_rule import load_golden
from tests.models.tiny_models import tiny_uniformer, tiny_uniformerv2

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # fvcore compiles a function while it is imported
    from fvcore.nn import FlopCountAnalysis


@pytest.mark.parametrize(
    "name",
    [
        "uniformerv2_b16_k400_8x224",
        "uniformer_s_k400_16x224",
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
    else:  # the folded cross attention needs no keys and values of all tokens
        assert complexity.multiply_adds < complexity.plain_multiply_adds
    assert all(parameter.device.type == "meta" for parameter in model.parameters())


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("changes", [{}, {"split": True, "std": True}], ids=["default", "split"])
def test_fvcore_counts_the_same(changes):
    model = tiny_uniformer(**changes).eval()
    analysis = FlopCountAnalysis(use_reference(model), torch.randn(1, 3, 4, 64, 32))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    assert measure_complexity(model, (3, 4, 64, 32)).fvcore_multiply_adds == analysis.total()


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
    # In each global block: no keys and values of all tokens, but the query and the output folded once a head, and
    # scores and sums of C values a head in place of C / heads.
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
    ],
    ids=["linear", "product", "conv", "depthwise", "attention", "sum"],
)
def test_an_operation_counts_its_multiply_adds_and_outputs(function, multiply_adds, num_activations):
    counter = counted(function)
    assert (counter.multiply_adds, counter.num_activations) == (multiply_adds, num_activations)
    assert counter.norm_operations == 0


def test_norms_count_by_fvcores_rule():
    x = torch.ones(2, 3, 4, 4, 4)
    assert counted(lambda: nn.BatchNorm3d(3).eval()(x)).norm_operations == 2 * x.numel()
    assert counted(lambda: nn.LayerNorm(4)(x)).norm_operations == 5 * x.numel()
    assert counted(lambda: nn.LayerNorm(4, elementwise_affine=False)(x)).norm_operations == 4 * x.numel()


def test_the_backward_of_a_depthwise_convolution_counts_twice_its_forward():
    conv = nn.Conv3d(6, 6, 3, padding=1, groups=6)
    forward = count_operations(conv, (1, 6, 4, 4, 4)).multiply_adds
    # the clips need no gradient, so that of the two halves of the backward only the weight's is there
    assert count_operations(conv, (1, 6, 4, 4, 4), has_backward=True).multiply_adds == 2 * forward
    twice = nn.Sequential(conv, conv)
    assert count_operations(twice, (1, 6, 4, 4, 4), has_backward=True).multiply_adds == 2 * forward + 3 * forward
