"""Which public source weights come from, told by their names."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from slowfast.config.coerce import short
from slowfast.config.yaml_file import parse_yaml
from slowfast.errors import UserError
from slowfast.models.registry import MODEL_REGISTRY
from slowfast.models.weights.family import Layout
from slowfast.models.weights.files import (
    TIMM_PREFIX,
    read_checkpoint,
    state_dict_of,
    without_shared_prefixes,
)
from slowfast.models.weights.integrity import AGAIN, check_finite, check_hash, first_line
from slowfast.models.weights.timm_models import load_timm
from slowfast.models.weights.translation import Translation

ACCEPTED_SOURCES = (
    "checkpoints of this project, of the UniFormer and UniFormerV2 authors and of MMAction2, image weights of "
    "UniFormer, and ViTs of OpenAI's CLIP, open_clip, Hugging Face's CLIPVisionModel and timm"
)


def translate_source(name: str, *, is_ema: bool = False, is_checked: bool = False) -> Translation:
    """Read a file, an address or ``timm:<model>`` and translate it.

    Args:
        name: see ``files.py``.
        is_ema: take the EMA that a checkpoint of ours holds beside the weights themselves.
        is_checked: leave checksums, hash and values alone, since another process checks them.

    Raises:
        UserError: if it cannot be had, is damaged, or is no source that is carried over exactly.
    """
    if name.startswith(TIMM_PREFIX) and not is_ema:
        translation = load_timm(name.removeprefix(TIMM_PREFIX))
    else:
        try:
            translation = _translate_file(name, is_ema=is_ema, is_checked=is_checked)
        except UserError as error:
            raise error if name in str(error) or not name.isprintable() else UserError(f"{name}: {error}") from None
    if not is_checked:
        check_finite(translation.weights, name)
    return translation


def _translate_file(name: str, *, is_ema: bool, is_checked: bool) -> Translation:
    checkpoint = read_checkpoint(name, is_checked=is_checked)
    part = "ema_state" if is_ema else "model_state"
    if is_ema and not isinstance(checkpoint.get(part), Mapping):
        raise UserError(f"{name}: holds no EMA of the weights; set TEST.USE_EMA to False")
    if not is_checked:
        check_hash(checkpoint, part, name)
    if is_ema:
        checkpoint = {**checkpoint, "model_state": checkpoint[part]}
    return translate(checkpoint, _hugging_face_config(name))


def translate(checkpoint: Mapping[str, Any], hugging_face_config: Mapping[str, Any] | None = None) -> Translation:
    """Recognise what a checkpoint is and translate it.

    Args:
        checkpoint: content of a file.
        hugging_face_config: of the ``config.json`` beside it, if there is one.

    Raises:
        UserError: if it holds no weights, or what cannot be carried over exactly.
    """
    weights = state_dict_of(checkpoint)
    if not weights:
        held = ", ".join(short(key).strip("'") for key in list(checkpoint)[:5]) or "nothing"
        raise UserError(f"no weights in it, but {held}; accepted: {ACCEPTED_SOURCES}")
    if "class_names" in checkpoint:
        return _own(checkpoint, weights)
    for prefix, renamed in without_shared_prefixes(weights):
        _, layout = _recognised(renamed)
        if layout is not None:
            translation = _translated(layout, renamed, hugging_face_config)
            told = f"{translation.layout}, without the prefix {prefix}" if prefix else translation.layout
            return replace(translation, layout=told)
    return Translation("weights under this model's names", weights)


def _translated(layout: Layout, weights: dict[str, Tensor], config: Mapping[str, Any] | None) -> Translation:
    try:
        return layout.translate(weights, config)
    except (RuntimeError, LookupError, TypeError) as error:
        raise UserError(f"its weights have not the shapes of what its names say: {first_line(error)}") from None


def _own(checkpoint: Mapping[str, Any], weights: dict[str, Tensor]) -> Translation:
    """A checkpoint of this project; its resolved config tells the family."""
    config, class_names = config_of(checkpoint), checkpoint["class_names"]
    if class_names is not None:
        is_list = isinstance(class_names, list | tuple)
        odd = next((name for name in class_names if not isinstance(name, str)), None) if is_list else class_names
        if odd is not None or not is_list:
            raise UserError(f"its class_names hold {short(odd)}, and accepted is a list of names; {AGAIN}")
    return Translation(
        layout="a checkpoint of this project",
        weights=weights,
        family=config.get("MODEL.MODEL_NAME", "") or _recognised(weights)[0],
        origin="own",
        class_names=class_names,
        config=config,
        config_text=checkpoint.get("config") or "",
    )


def config_of(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The resolved config of the run that saved a checkpoint of ours, by dotted keys; empty if it carries none."""
    text = checkpoint.get("config") or ""
    if not isinstance(text, str):
        raise UserError(f"its config is {short(text)}, and accepted is the text of one; {AGAIN}")
    config = {entry.key: entry.value for entry in parse_yaml(text, "config", allow_duplicate_keys=True)}
    if not isinstance(config.get("MODEL.MODEL_NAME", ""), str):
        raise UserError(f"MODEL.MODEL_NAME in its config is {short(config['MODEL.MODEL_NAME'])}; {AGAIN}")
    return config


def _recognised(weights: Mapping[str, Tensor]) -> tuple[str, Layout | None]:
    """The family that publishes weights of such names, and in which form; "" and None if there is none."""
    known = ((name, layout) for name, model in MODEL_REGISTRY for layout in model.weights.layouts)
    return next(((name, layout) for name, layout in known if layout.recognises(weights)), ("", None))


def _hugging_face_config(name: str) -> dict[str, Any] | None:
    """The ``config.json`` beside a file that Hugging Face's library saved, if there is one."""
    path = Path(name).parent / "config.json"
    try:
        config = json.loads(path.read_text()) if os.path.isfile(path) else None
    except (OSError, ValueError, RecursionError):
        return None
    return config if isinstance(config, dict) else None
