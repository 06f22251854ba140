"""A small config of every registered model, in several arrangements, for the tests that run over all of them."""

from slowfast.models import MODEL_REGISTRY
from tests.models.weights.layouts import TINY_V1, TINY_V2

# model -> arrangement -> keys; every arrangement has 5 classes.
TINY_MODELS = {
    "Uniformer": {
        "plain": TINY_V1,
        "split": TINY_V1 | {"UNIFORMER.SPLIT": True},
        "overlapping": TINY_V1 | {"UNIFORMER.STD": True, "UNIFORMER.DEPTH": [1, 2, 2, 1]},
    },
    "Uniformerv2": {
        "temporal": TINY_V2,
        "scenes": TINY_V2 | {"UNIFORMERV2.NO_LMHRA": True},
        "downsampling": TINY_V2 | {"UNIFORMERV2.TEMPORAL_DOWNSAMPLE": True, "UNIFORMERV2.DOUBLE_LMHRA": False},
    },
}
# Keys that freeze the backbone, of families that can be built so.
FREEZE = {"Uniformerv2": {"UNIFORMERV2.FROZEN": True, "UNIFORMERV2.NO_LMHRA": True}}


def all_tiny_models() -> list[tuple[str, dict]]:
    """(name, keys) of every arrangement of every registered model; a model without one is an error."""
    lacking = [name for name, _ in MODEL_REGISTRY if name not in TINY_MODELS]
    assert not lacking, f"give {lacking} a small config in {__file__}"
    return [(name, keys) for name, arrangements in TINY_MODELS.items() for keys in arrangements.values()]


def arrangement_names() -> list[str]:
    return [f"{name}-{arrangement}" for name, arrangements in TINY_MODELS.items() for arrangement in arrangements]
