"""Which public source weights come from, told by their names."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from slowfast.errors import UserError
from slowfast.models.registry import MODEL_REGISTRY
from slowfast.models.weights.family import Layout
from slowfast.models.weights.files import TIMM_PREFIX, read_checkpoint, refuse_light, state_dict_of
from slowfast.models.weights.timm_models import load_timm
from slowfast.models.weights.translation import Translation

ACCEPTED_SOURCES = (
    "checkpoints of this project, of the UniFormer and UniFormerV2 authors and of MMAction2, image weights of "
    "UniFormer, and ViTs of OpenAI's CLIP, open_clip, Hugging Face's CLIPVisionModel and timm"
)


def translate_source(name: str, *, is_ema: bool = False) -> Translation:
    """Read a file, an address or ``timm:<model>`` and translate it.

    Args:
        name: see ``files.py``.
        is_ema: take the EMA that a checkpoint of ours holds beside the weights themselves.

    Raises:
        UserError: if it cannot be had, or is no source that is carried over exactly.
    """
    refuse_light(name)
    if name.startswith(TIMM_PREFIX) and not is_ema:
        return load_timm(name.removeprefix(TIMM_PREFIX))
    try:
        checkpoint = read_checkpoint(name)
        if is_ema:
            if not checkpoint.get("ema_state"):
                raise UserError(f"{name}: holds no EMA of the weights; set TEST.USE_EMA to False")
            checkpoint = {**checkpoint, "model_state": checkpoint["ema_state"]}
        return translate(checkpoint, _hugging_face_config(name))
    except UserError as error:
        raise error if name in str(error) else UserError(f"{name}: {error}") from None


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
        held = ", ".join(map(str, list(checkpoint)[:5])) or "nothing"
        raise UserError(f"no weights in it, but {held}; accepted: {ACCEPTED_SOURCES}")
    if "class_names" in checkpoint:
        return _own(checkpoint, weights)
    _, layout = _recognised(weights)
    if layout is None:
        return Translation("weights under this model's names", weights)
    return layout.translate(weights, hugging_face_config)


def _own(checkpoint: Mapping[str, Any], weights: dict[str, Tensor]) -> Translation:
    """A checkpoint of this project; its resolved config tells the family."""
    config = yaml.safe_load(checkpoint.get("config") or "{}")
    return Translation(
        layout="a checkpoint of this project",
        weights=weights,
        family=config.get("MODEL", {}).get("MODEL_NAME", "") or _recognised(weights)[0],
        origin="own",
        class_names=checkpoint["class_names"],
        config=config,
    )


def _recognised(weights: Mapping[str, Tensor]) -> tuple[str, Layout | None]:
    """The family that publishes weights of such names, and in which form; "" and None if there is none."""
    known = ((name, layout) for name, model in MODEL_REGISTRY for layout in model.weights.layouts)
    return next(((name, layout) for name, layout in known if layout.recognises(weights)), ("", None))


def _hugging_face_config(name: str) -> dict[str, Any] | None:
    """The ``config.json`` beside a file that Hugging Face's library saved, if there is one."""
    path = Path(name).parent / "config.json"
    try:
        config = json.loads(path.read_text()) if path.is_file() else None
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None
