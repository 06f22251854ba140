"""Which public source weights come from, told by their names."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from slowfast.errors import UserError
from slowfast.models.vit_style import CLIP_STYLE, ViTStyle
from slowfast.models.weights.files import read_checkpoint, state_dict_of
from slowfast.models.weights.image_vits import from_clip, from_hugging_face, from_timm
from slowfast.models.weights.mmaction2 import from_mmaction2, is_mmaction2
from slowfast.models.weights.timm_models import TIMM_PREFIX, load_timm
from slowfast.models.weights.translation import Translation, rename

ACCEPTED_SOURCES = (
    "checkpoints of this project, of the UniFormer and UniFormerV2 authors and of MMAction2, image weights of "
    "UniFormer, and ViTs of OpenAI's CLIP, open_clip, Hugging Face's CLIPVisionModel and timm"
)
_LIGHT = re.compile(r"uniformer[_-]?xx?s")


def translate_source(name: str, *, is_average: bool = False) -> Translation:
    """Read a file, an address or ``timm:<model>`` and translate it.

    Args:
        name: see ``weight_files``.
        is_average: take the moving average that a checkpoint of ours holds beside the weights themselves.

    Raises:
        UserError: if it cannot be had, or is no source that is carried over exactly.
    """
    refuse_light(name)
    if name.startswith(TIMM_PREFIX) and not is_average:
        return load_timm(name.removeprefix(TIMM_PREFIX))
    try:
        checkpoint = read_checkpoint(name)
        if is_average:
            if not checkpoint.get("ema_state"):
                raise UserError(f"{name}: holds no moving average of the weights; set TEST.USE_EMA to False")
            checkpoint = {**checkpoint, "model_state": checkpoint["ema_state"]}
        return translate(checkpoint, _hugging_face_config(name))
    except UserError as error:
        raise error if name in str(error) else UserError(f"{name}: {error}") from None


def refuse_light(name: str) -> None:
    """Refuse the light models by name.

    Raises:
        UserError: for a file of UniFormer-XS or -XXS.
    """
    if _LIGHT.match(name.rpartition("/")[2].lower()):
        raise UserError(f"{name}: UniFormer-XS and -XXS, the light models, are not built here; use UniFormer-S or -B")


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
    if is_mmaction2(weights):
        return from_mmaction2(weights)
    if any(name.startswith("backbone.transformer.") for name in weights):
        layout, family, origin = "the authors' UniFormerV2", "Uniformerv2", "authors"
        return Translation(layout, weights, family=family, origin=origin, style=CLIP_STYLE)
    if any(name.startswith(("blocks1.", "patch_embed1.")) for name in weights):
        is_2d = any(value.ndim == 4 for value in weights.values())
        return (
            _image_uniformer(weights)
            if is_2d
            else Translation("the authors' UniFormer", weights, family="Uniformer", origin="authors")
        )
    if "class_embedding" in weights or "visual.class_embedding" in weights:
        return from_clip(weights)
    if any(name.endswith("embeddings.class_embedding") for name in weights):
        return from_hugging_face(weights, hugging_face_config)
    if any(name.endswith("patch_embed.proj.weight") for name in weights):
        return from_timm(weights)
    return Translation("weights under this model's names", weights)


def _own(checkpoint: Mapping[str, Any], weights: dict[str, Tensor]) -> Translation:
    """A checkpoint of this project; its resolved config tells family and style."""
    config = yaml.safe_load(checkpoint.get("config") or "{}")
    is_v2 = "backbone.class_embedding" in weights
    family = config.get("MODEL", {}).get("MODEL_NAME", "Uniformerv2" if is_v2 else "")
    keys = config.get("UNIFORMERV2", {})
    style = ViTStyle(
        keys.get("ACTIVATION") or CLIP_STYLE.activation,
        keys.get("PRE_NORM", CLIP_STYLE.has_pre_norm),
        keys.get("NORM_EPS", CLIP_STYLE.norm_eps),
    )
    return Translation(
        layout="a checkpoint of this project",
        weights=weights,
        family=family,
        style=style if is_v2 else None,
        origin="own",
        class_names=checkpoint["class_names"],
    )


def _image_uniformer(weights: dict[str, Tensor]) -> Translation:
    """UniFormer's ImageNet weights: the same names, 2-D kernels, no temporal attention (UNIFORMER.SPLIT)."""
    layout = "UniFormer's ImageNet weights"
    rules = [(r"((?:patch_embed\d\.(?:norm|proj)|blocks\d\.\d+\.(?!gamma).*|norm|head)\..*)", r"\1")]
    renamed, _, skipped = rename(weights, rules, skip=r"pre_logits\..*", layout=layout)
    return Translation(
        layout, renamed, family="Uniformer", skipped=skipped, may_lack=r"blocks\d\.\d+\.t_(attn|norm)\..*"
    )


def _hugging_face_config(name: str) -> dict[str, Any] | None:
    """The ``config.json`` beside a file that Hugging Face's library saved, if there is one."""
    path = Path(name).parent / "config.json"
    try:
        config = json.loads(path.read_text()) if path.is_file() else None
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None
