"""Small configs of every registered model, for tests that run over all of them, and tiny models of two families."""

import torch

from slowfast.config import load_config
from slowfast.models import MODEL_REGISTRY, VideoModel, build_model
from slowfast.models.uniformer import Uniformer
from slowfast.models.uniformer_light import UniformerLight
from tests.models.weights.layouts import TINY_LIGHT, TINY_V1, TINY_V2

# model -> arrangement -> keys; every arrangement has 5 classes.
TINY_MODELS = {
    "Uniformer": {
        "plain": TINY_V1,
        "split": TINY_V1 | {"UNIFORMER.SPLIT": True},
        "overlapping": TINY_V1 | {"UNIFORMER.STD": True, "UNIFORMER.DEPTH": [1, 2, 2, 1]},
    },
    "Uniformer_light": {"plain": TINY_LIGHT | {"MODEL.MODEL_NAME": "Uniformer_light"}},
    "Uniformer_light_fp32": {
        "plain": TINY_LIGHT,
        "overlapping": TINY_LIGHT | {"UNIFORMER.STD": True, "UNIFORMER.QKV_BIAS": False},
    },
    "Uniformer_light_ls_fp32": {"plain": TINY_LIGHT | {"MODEL.MODEL_NAME": "Uniformer_light_ls_fp32"}},
    "Uniformerv2": {
        "temporal": TINY_V2,
        "scenes": TINY_V2 | {"UNIFORMERV2.NO_LMHRA": True},
        "downsampling": TINY_V2 | {"UNIFORMERV2.TEMPORAL_DOWNSAMPLE": True, "UNIFORMERV2.DOUBLE_LMHRA": False},
    },
}
# Keys that freeze the backbone, of families that can be built so.
FREEZE = {"Uniformerv2": {"UNIFORMERV2.FROZEN": True, "UNIFORMERV2.NO_LMHRA": True}}
# Arguments of the constructor of Uniformer.
TINY_UNIFORMER = {"num_classes": 5, "embed_dim": (8, 16, 32, 48), "depth": (2, 1, 2, 1), "head_dim": 16}


def all_tiny_models() -> list[tuple[str, dict]]:
    """(name, keys) of every arrangement of every registered model; a model without one is an error."""
    lacking = [name for name, _ in MODEL_REGISTRY if name not in TINY_MODELS]
    assert not lacking, f"give {lacking} a small config in {__file__}"
    return [(name, keys) for name, arrangements in TINY_MODELS.items() for keys in arrangements.values()]


def arrangement_names() -> list[str]:
    return [f"{name}-{arrangement}" for name, arrangements in TINY_MODELS.items() for arrangement in arrangements]


def tiny_uniformer(**changes) -> Uniformer:
    """A seeded Uniformer; the constructor's arguments can be changed."""
    torch.manual_seed(0)
    return Uniformer(**(TINY_UNIFORMER | changes))


def tiny_light(**changes) -> UniformerLight:
    """A seeded lightweight UniFormer; the constructor's arguments can be changed."""
    torch.manual_seed(0)
    pruning = {"prune_ratio": ((), (), (1, 0.5, 0.4), (0.5, 0.5)), "trade_off": ((), (), (1, 0.5, 0.3), (0.5, 0.5))}
    return UniformerLight(**(TINY_UNIFORMER | {"depth": (1, 2, 3, 2)} | pruning | changes))


def tiny_uniformerv2(**keys) -> VideoModel:
    """A Uniformerv2 of the config TINY_V2; in the names of ``keys`` two underscores stand for a dot."""
    overrides = TINY_V2 | {name.replace("__", "."): value for name, value in keys.items()}
    return build_model(load_config(None, [word for pair in overrides.items() for word in pair]))
