"""Models by name, without a config of one's own."""

import difflib
from collections.abc import Sequence
from typing import Any

from slowfast.config import load_config
from slowfast.config.shipped import shipped_configs
from slowfast.errors import UserError
from slowfast.models.build import build_model
from slowfast.models.registry import MODEL_REGISTRY, VideoModel
from slowfast.models.weights.class_order import HeadRules
from slowfast.models.weights.load import apply_translation
from slowfast.models.weights.sources import translate_source
from slowfast.models.weights.translation import Translation


def list_models() -> list[str]:
    """Names that ``create_model`` takes: configs/models, and models that code from outside has registered."""
    outside = [name for name, model in MODEL_REGISTRY if not model.__module__.startswith("slowfast.models.")]
    return [*shipped_configs("models"), *outside]


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    num_frames: int | None = None,
    weights: str | None = None,
    overrides: Sequence[Any] = (),
) -> VideoModel:
    """Build a model, on the CPU and in training mode.

    Args:
        name: one of ``list_models()``.
        num_classes: K; None is that of the weights, or without weights the config's; 0 leaves the pooled features.
        num_frames: frames of a clip (T) that the model is meant for; None is the config's. Models take other numbers,
            too.
        weights: a file or an address of any public source (MODEL_ZOO.md), or "timm:<model>"; None is a random start.
            A classifier for another number of classes than ``num_classes`` starts afresh; rows are not sorted anew.
        overrides: keys and values of the config, such as ["UNIFORMERV2.FROZEN", True]; none that another argument says.

    Raises:
        UserError: if there is no such model, an override is wrong, or the weights cannot be had or do not fit.
    """
    known = list_models()
    if name not in known:
        near = ", ".join(difflib.get_close_matches(str(name), known, n=3, cutoff=0.0))
        raise UserError(f"create_model: there is no model {name!r}; the nearest are {near} (slowfast.list_models())")
    for argument, key, value in (
        ("name", "MODEL.MODEL_NAME", name),
        ("num_classes", "MODEL.NUM_CLASSES", num_classes),
        ("num_frames", "DATA.NUM_FRAMES", num_frames),
    ):
        if value is not None and key in overrides[::2]:
            raise UserError(f"create_model: {argument} is {value!r}, and overrides have {key}; leave one of them out")
    base = shipped_configs("models").get(name)
    keys = [] if base is not None else ["MODEL.MODEL_NAME", name]
    translation, num_rows = None, None
    if weights is not None:
        translation = translate_source(weights)
        model_name = load_config(base, [*keys, *overrides]).MODEL.MODEL_NAME
        num_rows = _num_rows(translation, MODEL_REGISTRY.find("MODEL.MODEL_NAME", model_name))
    wanted = num_rows if num_classes in (None, 0) else num_classes
    for key, value in (("MODEL.NUM_CLASSES", wanted), ("DATA.NUM_FRAMES", num_frames)):
        if value is not None:
            keys += [key, value]
    model = build_model(load_config(base, [*keys, *overrides]))
    if translation is not None:
        # No list of videos says what the user's classes are: the rows stay as they are, or start afresh.
        order = "same" if num_rows == model.num_classes else "reset"
        rules = HeadRules(class_names=None, load_list=_no_list, class_key=str, order=order)
        apply_translation(model, translation, weights, rules).log()
    if num_classes == 0:
        model.reset_classifier(0)
    return model


def _num_rows(translation: Translation, model: type[VideoModel]) -> int | None:
    """Classes of the weights; None if they have no classifier of the model's."""
    found = (translation.weights.get(f"{name}.weight") for name in model.classifier_names)
    return next((len(weight) for weight in found if weight is not None and weight.ndim), None)


def _no_list(name: str) -> list[str]:
    raise AssertionError(f"no list of classes is needed, but {name} was asked for")
