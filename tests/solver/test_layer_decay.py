"""Layer-wise decay of the learning rate: which layer a parameter is of, and what becomes of its rate."""

import re

import pytest
from fvcore.common.config import CfgNode
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from slowfast.config import load_config
from slowfast.errors import UserError
from slowfast.models import VideoModel, build_model
from slowfast.solver.optimizer import build_optimizer, parameter_groups
from tests.solver.optimizer_settings import settings_of, tiny_config

DEPTH = [2, 1, 3, 1]
V1 = {
    "MODEL.MODEL_NAME": "Uniformer",
    "MODEL.NUM_CLASSES": 2,
    "UNIFORMER.DEPTH": DEPTH,
    "UNIFORMER.EMBED_DIM": [8, 8, 16, 16],
    "UNIFORMER.HEAD_DIM": 8,
    "UNIFORMER.SPLIT": True,
    "SOLVER.OPTIMIZING_METHOD": "adamw",
}


def v1_config(*overrides: object) -> CfgNode:
    return load_config(None, [word for pair in V1.items() for word in pair] + list(overrides))


def ratios_of(cfg: CfgNode) -> dict[str, float]:
    return {name: ratio for name, (_, ratio) in settings_of(cfg)[0].items()}


def test_layers_of_uniformerv2_are_those_of_its_vit():
    """Two blocks: the embedding is layer 0, the head with all that reads from the blocks layer 3."""
    model = build_model(tiny_config())
    transformer = "backbone.transformer"
    names: dict[int, list[str]] = {0: [], 1: [], 2: [], 3: []}
    for name, _ in model.named_parameters():
        names[model.layer_idx(name)].append(name)
    assert names[0] == [
        *("backbone.class_embedding", "backbone.positional_embedding", "backbone.conv1.weight"),
        *("backbone.ln_pre.weight", "backbone.ln_pre.bias"),
    ]
    for layer in (1, 2):
        assert all(name.startswith(f"{transformer}.resblocks.{layer - 1}.") for name in names[layer])
        assert f"{transformer}.resblocks.{layer - 1}.lmhra1.pos_embed.0.weight" in names[layer]
    parts = {name.removeprefix(f"{transformer}.").split(".")[0] for name in names[3]}
    assert parts == {"temporal_cls_token", "balance", "dpe", "dec", "proj"}


def test_layers_of_uniformer_are_its_blocks_over_the_stages():
    model = build_model(v1_config())
    first = {1: 1, 2: 3, 3: 4, 4: 7}  # layer of each stage's first block
    for name, _ in model.named_parameters():
        if block := re.match(r"blocks(\d)\.(\d)\.", name):
            expected = first[int(block[1])] + int(block[2])
        elif embed := re.match(r"patch_embed(\d)\.", name):
            expected = 0 if embed[1] == "1" else first[int(embed[1])]
        else:
            assert re.match(r"(norm|head)\.", name)
            expected = 8
        assert model.layer_idx(name) == expected, name


def test_rates_grow_from_the_embedding_to_the_head():
    ratios = ratios_of(tiny_config("SOLVER.LAYER_DECAY", 0.5))
    assert ratios["backbone.conv1.weight"] == 0.125
    assert ratios["backbone.transformer.resblocks.0.mlp.c_fc.weight"] == 0.25
    assert ratios["backbone.transformer.resblocks.1.ln_1.bias"] == 0.5
    assert ratios["backbone.transformer.proj.2.weight"] == ratios["backbone.transformer.dpe.0.weight"] == 1.0


def test_the_backbones_ratio_multiplies_the_decay():
    ratios = ratios_of(tiny_config("SOLVER.LAYER_DECAY", 0.5, "SOLVER.BACKBONE_LR_RATIO", 0.1))
    block = "backbone.transformer.resblocks.0"
    assert ratios[f"{block}.attn.in_proj_weight"] == pytest.approx(0.025)
    assert ratios[f"{block}.lmhra1.pos_embed.1.weight"] == 0.25  # not of the image backbone
    assert ratios["backbone.transformer.proj.2.weight"] == 1.0


def test_frozen_layers_count():
    """The added parts have the rates that they have where the ViT is trained, too."""
    overrides = ["SOLVER.LAYER_DECAY", 0.5]
    frozen, whole = ratios_of(tiny_config(*overrides, "UNIFORMERV2.FROZEN", True)), ratios_of(tiny_config(*overrides))
    assert frozen and frozen.items() < whole.items()


@given(
    is_v2=st.booleans(),
    layer_decay=st.sampled_from([1.0, 0.9, 0.5]),
    backbone_lr_ratio=st.sampled_from([1.0, 0.5, 0.0]),
    has_zero_decay_1d=st.booleans(),
    is_frozen=st.booleans(),
)
@settings(max_examples=30)
def test_every_trained_parameter_is_in_one_group_and_groups_come_in_one_order(
    is_v2: bool, layer_decay: float, backbone_lr_ratio: float, has_zero_decay_1d: bool, is_frozen: bool
):
    overrides = ["SOLVER.LAYER_DECAY", layer_decay, "SOLVER.BACKBONE_LR_RATIO", backbone_lr_ratio]
    overrides += ["SOLVER.ZERO_WD_1D_PARAM", has_zero_decay_1d, "UNIFORMERV2.FROZEN", is_frozen]
    cfg = (tiny_config if is_v2 else v1_config)(*overrides)
    listed = []
    for _ in range(2):
        model = build_model(cfg)
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        groups = build_optimizer(cfg, model).param_groups
        listed.append([[names[id(parameter)] for parameter in group["params"]] for group in groups])
    assert listed[0] == listed[1]
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert sorted(name for group in listed[0] for name in group) == sorted(trained)
    assert all(group == sorted(group, key=trained.index) for group in listed[0])
    last = max(model.layer_idx(name) for name in trained)
    backbone = {id(parameter) for parameter in model.backbone_parameters()}
    for group in groups:
        for parameter in group["params"]:
            expected = backbone_lr_ratio if id(parameter) in backbone else 1.0
            expected *= layer_decay ** (last - model.layer_idx(names[id(parameter)]))
            assert group["lr_ratio"] == pytest.approx(expected, rel=1e-12)


def test_without_decay_the_groups_are_those_of_before():
    """A run that was begun without the key resumes with it at 1."""
    for cfg, num_groups in ((tiny_config(), 2), (tiny_config("SOLVER.ZERO_WD_1D_PARAM", True), 3)):
        assert len(build_optimizer(cfg, build_model(cfg)).param_groups) == num_groups


def test_a_model_whose_layers_have_no_numbers_is_refused():
    model = VideoModel()
    model.head = nn.Linear(2, 2)
    arguments = {"weight_decay": 0.1, "bn_weight_decay": 0.0, "has_zero_decay_1d": False}
    with pytest.raises(
        UserError, match=r"^SOLVER\.LAYER_DECAY: the layers of VideoModel are not numbered; set it to 1\.0$"
    ):
        parameter_groups(model, **arguments, layer_decay=0.5)
