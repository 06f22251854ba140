"""Parameter groups: what decays how much, and which learning rate it gets."""

from copy import deepcopy

import pytest
import torch
from fvcore.common.config import CfgNode
from torch import nn

from slowfast.errors import UserError
from slowfast.models import VideoModel, build_model
from slowfast.solver.optimizer import (
    OPTIMIZER_REGISTRY,
    build_optimizer,
    load_optimizer_state,
    parameter_groups,
    set_learning_rate,
)
from tests.registration import registered
from tests.solver.optimizer_settings import settings_of, tiny_config


def batch_norm_names(model: nn.Module) -> set[str]:
    return {
        f"{module_name}.{name}"
        for module_name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm3d)
        for name, _ in module.named_parameters(recurse=False)
    }


def test_decay_follows_the_published_groups():
    settings, model = settings_of(tiny_config("SOLVER.ZERO_WD_1D_PARAM", True))
    names_of_norms = batch_norm_names(model)
    assert names_of_norms and set(settings) == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        expected = 0.02 if name in names_of_norms else 0.0 if parameter.ndim == 1 else 0.05
        assert settings[name] == (expected, 1.0), name
    decays = {name: decay for name, (decay, _) in settings.items()}
    transformer = "backbone.transformer"
    assert decays[f"{transformer}.temporal_cls_token"] == 0.05
    assert decays["backbone.positional_embedding"] == 0.05
    assert decays["backbone.class_embedding"] == decays[f"{transformer}.balance"] == 0.0
    assert decays[f"{transformer}.resblocks.0.ln_1.weight"] == decays[f"{transformer}.proj.2.bias"] == 0.0


def test_all_but_batch_norm_decays_unless_told_otherwise():
    settings, model = settings_of(tiny_config())
    names_of_norms = batch_norm_names(model)
    assert {name: decay for name, (decay, _) in settings.items()} == {
        name: 0.02 if name in names_of_norms else 0.05 for name, _ in model.named_parameters()
    }


def test_the_image_backbone_may_have_a_rate_of_its_own():
    settings, model = settings_of(tiny_config("SOLVER.BACKBONE_LR_RATIO", 0.1, "SOLVER.ZERO_WD_1D_PARAM", True))
    backbone = {id(parameter) for parameter in model.backbone_parameters()}
    for name, parameter in model.named_parameters():
        assert settings[name][1] == (0.1 if id(parameter) in backbone else 1.0), name
    ratios = {name: ratio for name, (_, ratio) in settings.items()}
    assert ratios["backbone.conv1.weight"] == ratios["backbone.transformer.resblocks.1.attn.in_proj_weight"] == 0.1
    assert ratios["backbone.transformer.temporal_cls_token"] == ratios["backbone.transformer.proj.2.weight"] == 1.0
    assert settings["backbone.class_embedding"] == (0.0, 0.1)  # both rules at once


def test_frozen_parameters_are_left_out():
    settings, model = settings_of(tiny_config("UNIFORMERV2.FROZEN", True))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert set(settings) == trained < {name for name, _ in model.named_parameters()}


class OneRate(VideoModel):
    """A model that calls nothing its backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))

    def backbone_parameters(self) -> list[nn.Parameter]:
        return []


def test_a_model_without_a_backbone_has_one_rate():
    groups = parameter_groups(
        OneRate(),
        weight_decay=0.1,
        bn_weight_decay=0.2,
        has_zero_decay_1d=True,
        backbone_lr_ratio=0.5,
    )
    assert sorted((group["weight_decay"], group["lr_ratio"], len(group["params"])) for group in groups) == [
        (0.0, 1.0, 1),
        (0.1, 1.0, 1),
        (0.2, 1.0, 2),
    ]


def test_setting_the_rate_keeps_the_groups_ratios():
    cfg = tiny_config("SOLVER.BACKBONE_LR_RATIO", 0.25)
    optimizer = build_optimizer(cfg, build_model(cfg))
    for lr in (0.8, 0.4):  # not compounded
        set_learning_rate(optimizer, lr)
        assert {(group["lr_ratio"], group["lr"]) for group in optimizer.param_groups} == {(1.0, lr), (0.25, lr / 4)}


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", None)])
def test_the_config_names_the_optimizer(name: str, kind: type | None):
    cfg = tiny_config("SOLVER.OPTIMIZING_METHOD", name, "SOLVER.MOMENTUM", 0.8)
    optimizer = build_optimizer(cfg, build_model(cfg))
    assert type(optimizer) is (kind or torch.optim.AdamW)
    if name == "sgd":
        group = optimizer.param_groups[0]
        assert (group["momentum"], group["dampening"], group["nesterov"]) == (0.8, 0.0, True)
    else:
        assert optimizer.defaults["betas"] == (0.9, 0.999) and optimizer.defaults["eps"] == 1e-8


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (lambda cfg, groups: torch.optim.SGD([p for group in groups for p in group["params"]], lr=0.1), "SGD"),
        (lambda cfg, groups: None, "NoneType"),
    ],
)
def test_what_is_no_optimizer_of_the_groups_is_refused(build, kind):
    with registered(OPTIMIZER_REGISTRY, build, name="own"), pytest.raises(UserError) as error:
        cfg = tiny_config("SOLVER.OPTIMIZING_METHOD", "own")
        build_optimizer(cfg, build_model(cfg))
    accepted = "a torch.optim.Optimizer of the groups that it is given, each with its lr_ratio"
    assert str(error.value) == f"SOLVER.OPTIMIZING_METHOD own gives {kind}; accepted: {accepted}"


def test_decay_and_rate_act_on_the_step():
    """AdamW with zero gradients shrinks a parameter by lr * decay and nothing else."""
    layer = nn.Linear(2, 2)
    groups = parameter_groups(layer, weight_decay=0.5, bn_weight_decay=0.0, has_zero_decay_1d=True)
    before = {name: parameter.detach().clone() for name, parameter in layer.named_parameters()}
    optimizer = torch.optim.AdamW(groups, lr=1.0)
    set_learning_rate(optimizer, 0.1)
    layer(torch.zeros(1, 2)).sum().mul(0).backward()
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), before["weight"] * (1 - 0.1 * 0.5))
    assert torch.equal(layer.bias.detach(), before["bias"])


# What the GPU does in one kernel, and a state that goes from one optimizer to another


def stepped(cfg: CfgNode, device: str, num_steps: int = 2) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A model after some steps along fixed gradients, and its optimizer."""
    torch.manual_seed(0)
    model = build_model(cfg).to(device)
    optimizer = build_optimizer(cfg, model)
    take_steps(model, optimizer, num_steps)
    return model, optimizer


def take_steps(model: nn.Module, optimizer: torch.optim.Optimizer, num_steps: int) -> None:
    generator = torch.Generator().manual_seed(1)
    set_learning_rate(optimizer, 0.01)
    for _ in range(num_steps):
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.device)
        optimizer.step()


def assert_same_weights(model: nn.Module, other: nn.Module, **tolerances: float) -> None:
    for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(
            one.detach().cpu(), two.detach().cpu(), **tolerances, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_on_the_cpu_the_default_implementation_is_used(name: str):
    cfg = tiny_config("SOLVER.OPTIMIZING_METHOD", name)
    assert {group["fused"] for group in build_optimizer(cfg, build_model(cfg)).param_groups} == {None}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_on_a_gpu_the_fused_implementation_is_used_and_steps_alike(name: str):
    cfg = tiny_config("SOLVER.OPTIMIZING_METHOD", name, "SOLVER.LAYER_DECAY", 0.5)
    on_cpu, _ = stepped(cfg, "cpu")
    on_gpu, optimizer = stepped(cfg, "cuda")
    assert {group["fused"] for group in optimizer.param_groups} == {True}
    assert_same_weights(on_cpu, on_gpu, rtol=1e-4, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("source", "target"), [("cpu", "cuda"), ("cuda", "cpu"), ("cuda", "cuda")])
def test_a_state_goes_on_from_one_device_to_another(source: str, target: str):
    cfg = tiny_config()
    model, optimizer = stepped(cfg, source)
    state = deepcopy(optimizer.state_dict())  # as a file would hold it
    other = build_model(cfg).to(target)
    other.load_state_dict(model.state_dict())
    other_optimizer = build_optimizer(cfg, other)
    load_optimizer_state(other_optimizer, state)
    for one, its_optimizer in ((model, optimizer), (other, other_optimizer)):
        take_steps(one, its_optimizer, 2)
    assert_same_weights(model, other, rtol=1e-4, atol=1e-6)


def test_a_restored_optimizer_goes_on_where_it_was_with_options_of_its_own():
    model, optimizer = stepped(tiny_config(), "cpu")
    cfg = tiny_config("SOLVER.WEIGHT_DECAY", 0.3)
    other = build_model(cfg)
    other.load_state_dict(model.state_dict())
    restored = build_optimizer(cfg, other)
    load_optimizer_state(restored, deepcopy(optimizer.state_dict()))
    assert {group["weight_decay"] for group in restored.param_groups} == {0.3, 0.02}
    assert {group["lr"] for group in restored.param_groups} == {0.01}  # the last one set
    assert [float(values["step"]) for values in restored.state.values()] == [2.0] * len(restored.state)
    for group in restored.param_groups:
        group["weight_decay"] = 0.05 if group["weight_decay"] == 0.3 else 0.02
    for one, its_optimizer in ((model, optimizer), (other, restored)):
        take_steps(one, its_optimizer, 2)
    assert_same_weights(model, other, rtol=0, atol=0)


def test_a_state_with_the_flags_of_the_gpu_is_restored_on_the_cpu():
    """The flag that decides how a step is taken is this optimizer's, whatever the state's was."""
    model, optimizer = stepped(tiny_config(), "cpu")
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        group["fused"] = True
    restored = build_optimizer(tiny_config(), model)
    load_optimizer_state(restored, state)
    assert {group["fused"] for group in restored.param_groups} == {None}


@pytest.mark.parametrize(
    "overrides",
    [
        ["SOLVER.OPTIMIZING_METHOD", "sgd"],
        ["SOLVER.LAYER_DECAY", 0.5],
        ["SOLVER.BACKBONE_LR_RATIO", 0.5],
        ["SOLVER.ZERO_WD_1D_PARAM", True],
    ],
)
def test_a_state_of_another_optimizer_or_of_other_groups_is_refused(overrides: list):
    _, optimizer = stepped(tiny_config(), "cpu")
    cfg = tiny_config(*overrides)
    with pytest.raises(ValueError, match=r"of another kind, or of other parameter groups"):
        load_optimizer_state(build_optimizer(cfg, build_model(cfg)), optimizer.state_dict())
