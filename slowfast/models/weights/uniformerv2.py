"""What is known about the weights of UniFormerV2: where training starts, the forms in which they and image ViTs are
published, and what of a ViT's function no shape of a weight shows."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.errors import UserError
from slowfast.models.vit_style import CLIP_STYLE, ViTStyle
from slowfast.models.weights.family import Layout, WeightsFamily
from slowfast.models.weights.files import TIMM_PREFIX, find_weights
from slowfast.models.weights.image_vits import (
    HUGGING_FACE_PARENTS,
    TIMM_PARENTS,
    from_clip,
    from_hugging_face,
    from_timm,
)
from slowfast.models.weights.mmaction2 import is_mmaction2, v2_from_mmaction2, v2_to_mmaction2
from slowfast.models.weights.shapes import is_grid, resize_positions
from slowfast.models.weights.translation import Translation

POSITIONS = "backbone.positional_embedding"
# File under MODEL.WEIGHTS_DIR that holds the visual encoder of OpenAI's CLIP, and the model's name there.
CLIP_FILES = {
    "b16": ("vit_b16.pth", "ViT-B/16"),
    "l14": ("vit_l14.pth", "ViT-L/14"),
    "l14_336": ("vit_l14_336.pth", "ViT-L/14@336px"),
}


def pretrained_source(cfg: CfgNode) -> str | None:
    """The weights that ``UNIFORMERV2.PRETRAIN`` names: none is a random start, empty the backbone's CLIP weights.

    Raises:
        UserError: if the file is missing, saying where to put it.
    """
    name = cfg.UNIFORMERV2.PRETRAIN
    if name == "none":
        return None
    if name.startswith(TIMM_PREFIX):
        return name
    if name:
        found = find_weights(name, cfg.MODEL.WEIGHTS_DIR)
        if found is None:
            beside = Path(cfg.MODEL.WEIGHTS_DIR, name.removeprefix("jit:"))
            raise UserError(f"UNIFORMERV2.PRETRAIN {name}: no such file, nor {beside}; see MODEL_ZOO.md for addresses")
        return found
    backbone = cfg.UNIFORMERV2.BACKBONE.removeprefix("uniformerv2_").removeprefix("vit_")
    if backbone not in CLIP_FILES:
        raise UserError(
            f"UNIFORMERV2.PRETRAIN is empty, which means CLIP's weights, and there are none for the backbone "
            f"{cfg.UNIFORMERV2.BACKBONE}; set it to a file, or to none to start at random"
        )
    file_name, clip_name = CLIP_FILES[backbone]
    path = Path(cfg.MODEL.WEIGHTS_DIR, file_name)
    if not os.path.isfile(path):
        raise UserError(
            f"UNIFORMERV2.PRETRAIN is empty, but there is no {path}; save the state dict of the visual encoder of "
            f"OpenAI's CLIP {clip_name} there, or set UNIFORMERV2.PRETRAIN to a file (jit:FILE for OpenAI's archive), "
            f"or to none to start at random"
        )
    return str(path)


def misfit(model: nn.Module, translation: Translation) -> str | None:
    """What of a ViT's function (activation, LayerNorms, heads) the model would not compute."""
    backbone = model.backbone
    needed, built = _style_of(translation), backbone.style
    if needed is None:
        return None
    if needed.activation not in (None, "quick_gelu", "gelu"):
        return f"has the activation {needed.activation}; accepted: quick_gelu and gelu"
    if needed.activation is None and not built.activation:
        return (
            "does not tell its activation; set UNIFORMERV2.ACTIVATION to quick_gelu for OpenAI's weights and "
            "others of a quickgelu model, or to gelu for most others, such as those trained on LAION's data"
        )
    wanted = {
        "UNIFORMERV2.ACTIVATION": (needed.activation or built.activation, built.activation or "quick_gelu"),
        "UNIFORMERV2.PRE_NORM": (needed.has_pre_norm, built.has_pre_norm),
        "UNIFORMERV2.NORM_EPS": (needed.norm_eps, built.norm_eps),
    }
    wrong = [f"{key} {value}" for key, (value, current) in wanted.items() if value != current]
    if wrong:
        return f"computes another function than the config's ViT; set {', '.join(wrong)}"
    num_heads = backbone.transformer.resblocks[0].attn.num_heads
    if translation.num_heads not in (None, num_heads):
        return f"has {translation.num_heads} attention heads, but UNIFORMERV2.BACKBONE has {num_heads}"
    return None


def _style_of(translation: Translation) -> ViTStyle | None:
    """The style that the weights were trained for; a checkpoint of ours tells it by its config."""
    if translation.origin != "own":
        return translation.style
    config = translation.config
    return ViTStyle(
        config.get("UNIFORMERV2.ACTIVATION") or CLIP_STYLE.activation,
        config.get("UNIFORMERV2.PRE_NORM", CLIP_STYLE.has_pre_norm),
        config.get("UNIFORMERV2.NORM_EPS", CLIP_STYLE.norm_eps),
    )


def resize(name: str, value: Tensor, target: Tensor) -> Tensor | None:
    """The positional embedding (1 + H * W, C) for another grid of patches."""
    if name == POSITIONS and value.shape[1:] == target.shape[1:] and is_grid(len(value) - 1):
        return resize_positions(value.float(), len(target))
    return None


def why_not_exported(translation: Translation) -> str | None:
    """Other code bases compute CLIP's ViT alone."""
    if _style_of(translation) in (None, CLIP_STYLE):
        return None
    return "UniFormerV2 of another ViT than CLIP's (UNIFORMERV2.ACTIVATION)"


def _has_transformer(weights: Mapping[str, Tensor]) -> bool:
    return any(name.startswith("backbone.transformer.") for name in weights)


def _from_authors(weights: Mapping[str, Tensor], _config: Mapping[str, Any] | None) -> Translation:
    layout = "the authors' UniFormerV2"
    return Translation(layout, dict(weights), family="Uniformerv2", origin="authors", style=CLIP_STYLE)


def _is_clip(weights: Mapping[str, Tensor]) -> bool:
    return "class_embedding" in weights or "visual.class_embedding" in weights


def _is_hugging_face(weights: Mapping[str, Tensor]) -> bool:
    return any(f"{prefix}embeddings.class_embedding" in weights for prefix in HUGGING_FACE_PARENTS)


def _is_timm(weights: Mapping[str, Tensor]) -> bool:
    return any(f"{prefix}patch_embed.proj.weight" in weights for prefix in TIMM_PARENTS)


UNIFORMERV2_WEIGHTS = WeightsFamily(
    layouts=[
        Layout(
            lambda weights: is_mmaction2(weights) and _has_transformer(weights),
            lambda weights, _config: v2_from_mmaction2(weights),
        ),
        Layout(_has_transformer, _from_authors),
        Layout(_is_clip, lambda weights, _config: from_clip(weights)),
        Layout(_is_hugging_face, from_hugging_face),
        Layout(_is_timm, lambda weights, _config: from_timm(weights)),
    ],
    pretrained_source=pretrained_source,
    misfit=misfit,
    resize=resize,
    hints={
        ".lmhra": "UNIFORMERV2.NO_LMHRA, DOUBLE_LMHRA and DW_REDUCTION",
        ".balance": "UNIFORMERV2.FROZEN",
        "backbone.conv1": "UNIFORMERV2.TEMPORAL_DOWNSAMPLE and BACKBONE",
        "backbone.ln_pre": "UNIFORMERV2.PRE_NORM",
        ".dec.": "UNIFORMERV2.N_LAYERS and MLP_FACTOR",
        "backbone.transformer.resblocks": "UNIFORMERV2.BACKBONE",
    },
    resets_classifier=lambda cfg: cfg.UNIFORMERV2.DELETE_SPECIAL_HEAD,
    classifier_reset_key="UNIFORMERV2.DELETE_SPECIAL_HEAD",
    to_mmaction2=v2_to_mmaction2,
    why_not_exported=why_not_exported,
)
