"""The part of a config that says what a trained model computes for a video."""

from collections.abc import Mapping
from typing import Any

from fvcore.common.config import CfgNode

from slowfast.config.load import flatten
from slowfast.config.sections import SECTIONS, shapes_model

# Besides the keys that shape the model: which frames are read, how, and what becomes of them and of the scores.
INPUT_KEYS = (
    "DATA.NUM_FRAMES",
    "DATA.SAMPLING_RATE",
    "DATA.USE_OFFSET_SAMPLING",
    "DATA.STH_VIDEO_FPS",
    "DATA.CHANNEL_ORDER",
    "DATA.APPLY_ROTATION",
    "DATA.ALLOW_DAMAGED_FRAMES",
    "DATA.MEAN",
    "DATA.STD",
    "DATA.TEST_CROP_SIZE",
    "DATA.ENSEMBLE_METHOD",
    "DATA.MULTI_LABEL",
    "TEST.DATASET",
    "TEST.NUM_ENSEMBLE_VIEWS",
    "TEST.NUM_SPATIAL_CROPS",
    "TEST.ADD_SOFTMAX",
)


# Of them those with a part in the scores alone: features are the same with any value.
SCORE_KEYS = (
    "DATA.ENSEMBLE_METHOD",
    "DATA.MULTI_LABEL",
    "TEST.NUM_ENSEMBLE_VIEWS",  # a caller may ask for another number
    "TEST.NUM_SPATIAL_CROPS",
    "TEST.ADD_SOFTMAX",
)


def decides_scores(key: str) -> bool:
    """Whether a key's value has a part in the scores of a trained model; where training started from has none."""
    starts = {start for section in SECTIONS.values() for start in section.random_start}
    return (shapes_model(key) and key not in starts) or key in INPUT_KEYS


def settings_of(cfg: CfgNode) -> dict[str, Any]:
    """The values of a config that decide what its model computes, by full key."""
    return {key: value for key, value in flatten(cfg) if decides_scores(key)}


def feature_settings_of(cfg: CfgNode) -> dict[str, Any]:
    """The values of a config that decide, with the weights and the views, what the features of a video are."""
    return {key: value for key, value in settings_of(cfg).items() if key not in SCORE_KEYS}


def as_overrides(settings: Mapping[str, Any]) -> list[Any]:
    """Keys and values, one after the other, of a config for using the model.

    The loss of its training is none of them: it may need mixup, or code that is not here. Several labels per video go
    with one of ours.
    """
    values = {key: value for key, value in settings.items() if decides_scores(key)}
    if values.get("DATA.MULTI_LABEL"):
        values["MODEL.LOSS_FUNC"] = "bce_logit"
    return [part for pair in values.items() for part in pair]
