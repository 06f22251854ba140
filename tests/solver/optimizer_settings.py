"""A tiny config with an optimizer, and what its optimizer does to each parameter."""

from fvcore.common.config import CfgNode
from torch import nn

from slowfast.config import load_config
from slowfast.models import build_model
from slowfast.solver.optimizer import build_optimizer

SIZES = {
    "BACKBONE": "custom",
    "WIDTH": 16,
    "LAYERS": 2,
    "HEADS": 2,
    "PATCH_SIZE": 8,
    "NATIVE_SIZE": 16,
    "PRETRAIN": "none",
    "N_LAYERS": 1,
    "N_DIM": 16,
    "N_HEAD": 2,
    "RETURN_LIST": [1],
    "MLP_DROPOUT": [0.0],
}
TINY = [word for name, value in SIZES.items() for word in (f"UNIFORMERV2.{name}", value)] + [
    *("MODEL.NUM_CLASSES", 2, "DATA.TRAIN_CROP_SIZE", 16, "DATA.TEST_CROP_SIZE", 16),
    *("SOLVER.OPTIMIZING_METHOD", "adamw", "SOLVER.WEIGHT_DECAY", 0.05, "BN.WEIGHT_DECAY", 0.02),
]


def tiny_config(*overrides: object) -> CfgNode:
    return load_config(None, [*TINY, *overrides])


def settings_of(cfg: CfgNode) -> tuple[dict[str, tuple[float, float]], nn.Module]:
    """Weight decay and learning-rate factor of every parameter that the optimizer has, by name; and the model."""
    model = build_model(cfg)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found: dict[str, tuple[float, float]] = {}
    for group in build_optimizer(cfg, model).param_groups:
        for parameter in group["params"]:
            assert names[id(parameter)] not in found
            found[names[id(parameter)]] = (group["weight_decay"], group["lr_ratio"])
    return found, model
