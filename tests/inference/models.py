"""Small models with weights that none of them has at its start, in use and as folders."""

from collections.abc import Mapping, Sequence

import torch

from slowfast.config import load_config
from slowfast.inference import VideoClassifier
from slowfast.models import build_model
from tests.models.weights.layouts import TINY_LIGHT, TINY_V1, TINY_V2, randomized

CLASS_NAMES = ["waving", "jumping", "reading", "baking bread", "drawing a cat"]
INPUT = {
    "NUM_GPUS": 0,
    "MODEL.NUM_CLASSES": len(CLASS_NAMES),
    "DATA.NUM_FRAMES": 4,
    "DATA_LOADER.NUM_WORKERS": 0,
    "TEST.NUM_ENSEMBLE_VIEWS": 2,
    "TEST.NUM_SPATIAL_CROPS": 3,
}
FAMILIES = {
    "uniformer": TINY_V1 | {"TEST.DATASET": "kinetics", "DATA.SAMPLING_RATE": 4, "TEST.ADD_SOFTMAX": False},
    "uniformer_light": TINY_LIGHT | {"TEST.DATASET": "kinetics_sparse", "TEST.ADD_SOFTMAX": False},
    "uniformerv2": TINY_V2 | {"TEST.DATASET": "kinetics_sparse"},
}


def small_classifier(
    family: str,
    class_names: Sequence[str] | None = tuple(CLASS_NAMES),
    changes: Mapping[str, object] | None = None,
) -> VideoClassifier:
    """A model of one of ``FAMILIES``, in use on the CPU; ``changes`` are values of other keys."""
    values = FAMILIES[family] | INPUT | dict(changes or {})
    cfg = load_config(None, [part for pair in values.items() for part in pair])
    torch.manual_seed(0)
    names = None if class_names is None else list(class_names)
    return VideoClassifier(randomized(build_model(cfg)), cfg, class_names=names, source="made up")
