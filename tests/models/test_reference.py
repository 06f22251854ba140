"""The reference of a model: the same function, on which hooks, LoRA, quantisation and counting tools work."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.config import load_config
from slowfast.models import build_model
from slowfast.models.depthwise import DepthwiseConv3d
from slowfast.models.layers import PointwiseConv3d
from slowfast.models.reference import FastPrimitive, use_reference
from slowfast.models.uniformerv2_attention import CrossAttention, SelfAttention
from slowfast.models.uniformerv2_blocks import feed_forward
from tests.models.published_gradients import published_gradients
from tests.models.tiny_models import FREEZE
from tests.models.weights.layouts import TINY_V1, TINY_V2, randomized, tiny_cfg

MODELS = {
    "v1": TINY_V1,
    "v1_split_std": TINY_V1 | {"UNIFORMER.SPLIT": True, "UNIFORMER.STD": True},
    "v1_scale": TINY_V1 | {"UNIFORMER.QKV_SCALE": 0.5, "UNIFORMER.QKV_BIAS": False},
    "v2_temporal": TINY_V2 | {"UNIFORMERV2.TEMPORAL_DOWNSAMPLE": True},
    "v2_scene": TINY_V2 | {"UNIFORMERV2.NO_LMHRA": True},
    "v2_frozen": TINY_V2 | FREEZE["Uniformerv2"],
    "v2_upstream": TINY_V2 | {"UNIFORMERV2.DROP_PATH_STYLE": "upstream"},
    "v2_gelu": TINY_V2 | {"UNIFORMERV2.ACTIVATION": "gelu", "UNIFORMERV2.PRE_NORM": False},
    "v2_quick_gelu": TINY_V2 | {"UNIFORMERV2.ACTIVATION": "quick_gelu", "UNIFORMERV2.PRE_NORM": True},
}
every_model = pytest.mark.parametrize("name", MODELS)


def build(name: str, **changes: object) -> nn.Module:
    """A tiny model with golden weights, in evaluation mode."""
    return randomized(build_model(tiny_cfg(MODELS[name], **changes)))


def clips_for(name: str) -> Tensor:
    size = 32 if name.startswith("v1") else 16
    return torch.randn(2, 3, 4, size, size, generator=torch.Generator().manual_seed(0))


def step(model: nn.Module, clips: Tensor) -> Tensor:
    """Logits of a seeded forward, whose backward pass has run."""
    torch.manual_seed(1)
    logits = model(clips)
    (logits * torch.linspace(1, 2, logits.numel()).view_as(logits)).sum().backward()
    return logits.detach()


def assert_close(actual: Tensor, expected: Tensor, what: str = "", tolerance: float = 1e-5) -> None:
    """Within ``tolerance`` of the largest value expected."""
    error = (actual - expected).abs().max().item()
    assert error <= tolerance * max(expected.abs().max().item(), 1e-6), what


@every_model
def test_logits_are_the_models(name):
    model = build(name)
    with torch.no_grad():
        assert_close(use_reference(model)(clips_for(name)), model(clips_for(name)))


@every_model
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_gradients_are_the_models_and_reach_every_trained_parameter(name, training):
    changes = {"UNIFORMERV2__MLP_DROPOUT": [0.0, 0.0], "UNIFORMERV2__CLS_DROPOUT": 0.0} if "v2" in name else {}
    model = build(name, **changes).double().train(training)
    reference = use_reference(model)
    assert reference.training is training
    for each in (model, reference):
        step(each, clips_for(name).double())
    for key, parameter in reference.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, key
    expected = published_gradients(model)
    actual = published_gradients(reference)
    assert list(actual) == list(expected)
    for key, gradient in expected.items():
        assert_close(actual[key], gradient, key)
    frozen = sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)
    assert frozen == sum(parameter.numel() for parameter in reference.parameters() if not parameter.requires_grad)
    assert (frozen > 0) == (name == "v2_frozen")


@every_model
def test_every_module_with_parameters_runs(name):
    """So does what contains some, but for lists."""
    reference = use_reference(build(name))
    owners = {key: module for key, module in reference.named_modules() if any(True for _ in module.parameters())}
    waiting = {key for key, module in owners.items() if not isinstance(module, nn.ModuleList)}
    for key, module in owners.items():
        module.register_forward_hook(lambda _module, _args, _output, key=key: waiting.discard(key))
    reference(clips_for(name))
    assert waiting == set()


def test_nearly_all_parameters_sit_in_linear_layers_and_convolutions():
    with torch.device("meta"):
        model = build_model(load_config(None, ["UNIFORMERV2.BACKBONE", "uniformerv2_b16"]))
    sizes = [
        sum(parameter.numel() for parameter in module.parameters(recurse=False))
        for module in use_reference(model).modules()
        if type(module) in (nn.Linear, nn.Conv3d)
    ]
    assert sum(sizes) > 0.99 * sum(parameter.numel() for parameter in model.parameters())


@every_model
def test_a_hook_on_every_linear_layer_and_convolution_sees_what_such_a_layer_computes(name):
    calls = []

    def check(module: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        (x,) = args
        if isinstance(module, nn.Linear):
            expected = F.linear(x, module.weight, module.bias)
        else:
            expected = F.conv3d(x, module.weight, module.bias, module.stride, module.padding, groups=module.groups)
        assert_close(output, expected)
        calls.append(module)

    reference = use_reference(build(name))
    layers = [module for module in reference.modules() if isinstance(module, nn.Linear | nn.Conv3d)]
    for layer in layers:
        assert type(layer) in (nn.Linear, nn.Conv3d)
        layer.register_forward_hook(check)
    reference(clips_for(name))
    assert len(calls) == len(set(calls)) == len(layers)


@every_model
def test_attention_weights_are_the_output_of_softmax(name):
    sums = []
    reference = use_reference(build(name))
    for module in reference.modules():
        if isinstance(module, nn.Softmax):
            module.register_forward_hook(lambda _module, _args, output: sums.append(output.sum(-1)))
    reference(clips_for(name))
    assert sums
    for each in sums:
        torch.testing.assert_close(each, torch.ones_like(each))


@every_model
def test_published_keys_load_and_save(name):
    model, other = build(name), build(name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.01)
    reference = use_reference(model)
    for published in (model.state_dict(), other.state_dict()):
        assert reference.load_state_dict(published, strict=True) == ([], [])
        saved = reference.state_dict()
        assert list(saved) == list(published)
        assert all(torch.equal(saved[key], value) for key, value in published.items())
    with torch.no_grad():
        assert_close(reference(clips_for(name)), other(clips_for(name)))
    model.load_state_dict(reference.state_dict())  # and back
    twin = pickle.loads(pickle.dumps(copy.deepcopy(reference)))
    twin.load_state_dict(build(name).state_dict())
    assert not torch.equal(twin(clips_for(name)), reference(clips_for(name)))


@pytest.mark.parametrize(
    ("rows", "message"), [(5, "size mismatch for kv_proj.weight"), (None, "Missing key.*q_proj.weight")]
)
def test_what_does_not_fit_is_refused(rows, message):
    reference = use_reference(CrossAttention(4, 2))
    weights = reference.state_dict()
    if rows is None:
        del weights["in_proj_weight"]
    else:
        weights["in_proj_weight"] = weights["in_proj_weight"][:rows]
    with pytest.raises(RuntimeError, match=message):
        reference.load_state_dict(weights)


@pytest.mark.slow
@every_model
def test_the_model_is_left_as_it_is(name):
    model = build(name)
    before = copy.deepcopy(model)
    reference = use_reference(model)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(1)
    assert str(model) == str(before)
    assert all(torch.equal(value, before.state_dict()[key]) for key, value in model.state_dict().items())
    assert not any(module in set(model.modules()) for module in reference.modules())


@pytest.mark.parametrize("name", ["v1", "v1_split_std", "v2_temporal", "v2_scene", "v2_frozen", "v2_upstream"])
@pytest.mark.parametrize("has_checkpointing", [False, True], ids=["", "checkpointed"])
def test_dropout_stochastic_depth_and_checkpointing_act_as_in_the_model(name, has_checkpointing):
    """From one seed, both drop the same: modules are called in the same order with the same shapes."""
    changes = {  # no dropout in V1: with another layout in memory, other elements are drawn
        "v1": {"UNIFORMER__DROP_DEPTH_RATE": 0.4},
        "v2": {"UNIFORMERV2__BACKBONE_DROP_PATH_RATE": 0.4, "UNIFORMERV2__DROP_PATH_RATE": 0.4},
    }[name[:2]]
    checkpointing = {"MODEL__USE_CHECKPOINT": has_checkpointing, "MODEL__CHECKPOINT_NUM": [1, 1, 1, 1]}
    model = build(name, **changes, **checkpointing).double().train()
    reference = use_reference(model)
    logits = [step(each, clips_for(name).double()) for each in (model, reference)]
    assert_close(*reversed(logits))
    expected, actual = published_gradients(model), published_gradients(reference)
    for key, gradient in expected.items():
        assert_close(actual[key], gradient, key)  # of buffers, the running statistics themselves
    assert not torch.allclose(build(name).double()(clips_for(name).double()), logits[0])


@pytest.mark.parametrize("key", ["ATTENTION_DROPOUT_RATE", "DROPOUT_RATE"])
def test_dropout_acts_in_training_alone(key):
    model = build("v1", **{f"UNIFORMER__{key}": 0.5})
    reference, clips = use_reference(model), clips_for("v1")
    with torch.no_grad():
        assert_close(reference(clips), model(clips))
        reference.train()
        for module in reference.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.eval()
        assert not torch.allclose(reference(clips), reference(clips), rtol=1e-3)


@pytest.mark.parametrize(
    ("primitive", "inputs"),
    [
        (lambda: DepthwiseConv3d(6, (3, 1, 5)), [(2, 6, 3, 4, 5)]),
        (lambda: PointwiseConv3d(6, 4), [(2, 6, 3, 4, 5)]),
        (lambda: SelfAttention(6, 2), [(2, 5, 6)]),
        (lambda: CrossAttention(6, 2), [(2, 1, 6), (2, 5, 6)]),
        (lambda: feed_forward(6, 12, dropout=0.5), [(2, 5, 6)]),
    ],
    ids=["depthwise", "pointwise", "self_attention", "cross_attention", "feed_forward"],
)
def test_each_primitive_by_itself(primitive, inputs):
    model = primitive().eval()
    reference = use_reference(model)
    assert isinstance(model, FastPrimitive) and not isinstance(reference, FastPrimitive)
    assert not any(module.training for module in reference.modules())
    arguments = [torch.randn(shape) for shape in inputs]
    assert_close(reference(*arguments), model(*arguments))


def test_modes_of_parts_are_kept():
    model = build("v2_scene").train()
    mlp = model.backbone.transformer.dec[0].mlp
    mlp.dropout.eval()
    parts = use_reference(model).backbone.transformer.dec
    assert (parts[0].mlp.training, parts[0].mlp.dropout.training, parts[1].mlp.dropout.training) == (True, False, True)


def test_a_module_that_stands_twice_stays_one_module():
    conv = DepthwiseConv3d(4, 3)
    reference = use_reference(nn.ModuleDict({"once": nn.Sequential(conv, conv), "again": conv}))
    assert reference["once"][0] is reference["once"][1] is reference["again"]
    assert type(reference["again"]) is nn.Conv3d


def test_a_model_without_fast_primitives_is_copied():
    model = nn.Sequential(nn.Linear(2, 2), nn.Identity())
    reference = use_reference(model)
    assert str(reference) == str(model)
    assert reference[0] is not model[0]


def test_a_primitive_without_a_reference_says_so():
    class Unfinished(FastPrimitive, nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Unfinished has no reference formulation"):
        use_reference(nn.Sequential(Unfinished()))


class LowRank(nn.Module):
    """A layer and, beside it, two thin ones, of which the second starts at zero (LoRA, arXiv 2106.09685)."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Linear(base.in_features, 2, bias=False)
        self.up = nn.Linear(2, base.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x))


@every_model
def test_layers_may_be_exchanged_for_adapted_ones(name):
    model = build(name)
    reference = use_reference(model)
    for parameter in reference.parameters():
        parameter.requires_grad_(False)
    layers = [key for key, module in reference.named_modules() if type(module) is nn.Linear]
    for key in layers:
        parent, _, own = key.rpartition(".")
        setattr(reference.get_submodule(parent), own, LowRank(reference.get_submodule(key)))
    assert_close(step(reference, clips_for(name)), model(clips_for(name)).detach())
    for key in layers:
        assert reference.get_submodule(key).up.weight.grad.any(), key
    adapted = copy.deepcopy(reference)
    adapted.load_state_dict(reference.state_dict())
    assert any(key.endswith("up.weight") for key in adapted.state_dict())
