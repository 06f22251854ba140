"""Image ViTs under UniFormerV2's names, exactly: what cannot be expressed there is refused with the reason.

The layouts are CLIP's (OpenAI and open_clip), Hugging Face's ``CLIPVisionModel`` and timm's ``VisionTransformer``, in
which supervised ViTs, DeiT, DeiT III, DINO and MAE are published, too. Four things are rewritten without changing the
function: a bias of the patch embedding goes into the positions of the patches; the scale of a residual branch (layer
scale) into its last projection; a class token without position gets position 0; absent query, key and value biases
are 0.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from slowfast.errors import UserError
from slowfast.models.vit_style import CLIP_STYLE, PLAIN_STYLE, ViTStyle
from slowfast.models.weights.integrity import check_types
from slowfast.models.weights.shapes import is_grid
from slowfast.models.weights.translation import Translation, rename

UNTOLD_CLIP_STYLE = CLIP_STYLE._replace(activation=None)
# Our names that no image ViT has: the temporal parts and the head.
ADDED_PARTS = r"backbone\.transformer\.(resblocks\.\d+\.lmhra\d|dpe|dec|proj|temporal_cls_token|balance)\b.*"

# What may precede the names of the ViT in these layouts.
HUGGING_FACE_PARENTS = ("", "vision_model.")
TIMM_PARENTS = ("", "visual.trunk.", "backbone.")

_BLOCK = r"transformer\.resblocks\.(\d+)\."
_NEW = r"transformer.resblocks.\1."
_CLIP_RULES = [
    (r"(class_embedding|positional_embedding|conv1\.weight|ln_pre\.(?:weight|bias))", r"\1"),
    (_BLOCK + r"((?:ln_[12]|attn\.out_proj|mlp\.c_fc|mlp\.c_proj)\.(?:weight|bias))", _NEW + r"\2"),
    (_BLOCK + r"(attn\.in_proj_(?:weight|bias)|ls_[12]\.gamma)", _NEW + r"\2"),
]
_HF_BLOCK = r"encoder\.layers\.(\d+)\."
_HF_RULES = [
    (r"embeddings\.class_embedding", "class_embedding"),
    (r"embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"embeddings\.patch_embedding\.weight", "conv1.weight"),
    (r"pre_layrnorm\.(weight|bias)", r"ln_pre.\1"),
    (_HF_BLOCK + r"layer_norm([12])\.(weight|bias)", _NEW + r"ln_\2.\3"),
    (_HF_BLOCK + r"self_attn\.([qkv])_proj\.(weight|bias)", _NEW + r"attn.\2.\3"),
    (_HF_BLOCK + r"self_attn\.out_proj\.(weight|bias)", _NEW + r"attn.out_proj.\2"),
    (_HF_BLOCK + r"mlp\.fc1\.(weight|bias)", _NEW + r"mlp.c_fc.\2"),
    (_HF_BLOCK + r"mlp\.fc2\.(weight|bias)", _NEW + r"mlp.c_proj.\2"),
]
_TIMM_BLOCK = r"blocks\.(\d+)\."
_TIMM_RULES = [
    (r"cls_token", "class_embedding"),
    (r"pos_embed", "positional_embedding"),
    (r"patch_embed\.proj\.(weight|bias)", r"conv1.\1"),
    (r"norm_pre\.(weight|bias)", r"ln_pre.\1"),
    (_TIMM_BLOCK + r"norm([12])\.(weight|bias)", _NEW + r"ln_\2.\3"),
    (_TIMM_BLOCK + r"attn\.qkv\.(weight|bias)", _NEW + r"attn.in_proj_\2"),
    (_TIMM_BLOCK + r"attn\.proj\.(weight|bias)", _NEW + r"attn.out_proj.\2"),
    (_TIMM_BLOCK + r"mlp\.fc1\.(weight|bias)", _NEW + r"mlp.c_fc.\2"),
    (_TIMM_BLOCK + r"mlp\.fc2\.(weight|bias)", _NEW + r"mlp.c_proj.\2"),
    (_TIMM_BLOCK + r"(?:ls([12])\.gamma|gamma_([12]))", _NEW + r"ls_\2\3.gamma"),
]
# What follows the last block, a task's head, and the decoder of masked image modelling.
_TIMM_SKIP = r"(norm|fc_norm|head|head_drop|pre_logits|mask_token|decoder_\w+)(\..*)?"
# Expressions of timm's names -> why such a ViT is refused.
_TIMM_REFUSED = {
    r".*(relative_position|rel_pos).*|.*attn\.[qv]_bias": "BEiT's attention adds a bias for relative positions and has "
    "no key bias, which UniFormerV2's attention does not compute",
    r"dist_token": "it has a distillation token beside the class token",
    r"reg_token": "it has register tokens beside the class token",
    r".*attn\.[qk]_norm\..*": "its attention normalises queries and keys",
    r".*mlp\.(w12|fc1_g|fc1_x|w1|w2|w3)\..*": "its feed-forward networks are gated (SwiGLU)",
}


def from_clip(weights: Mapping[str, Tensor]) -> Translation:
    """Translate OpenAI's or open_clip's CLIP: the whole model or its visual encoder alone.

    The two share their names, but not their activation. OpenAI's is known from what only its archive holds; the visual
    encoder alone is taken for OpenAI's, as which it is published.
    """
    is_whole = "visual.class_embedding" in weights
    is_openai = "input_resolution" in weights and "vocab_size" in weights
    layout = "OpenAI's CLIP" if is_openai or not is_whole else "a CLIP of OpenAI or open_clip"
    visual, others = _under(weights, "visual.") if is_whole else (dict(weights), [])
    renamed, old_names, skipped = rename(visual, _CLIP_RULES, skip=r"ln_post\..*|proj", layout=layout)
    style = CLIP_STYLE if is_openai or not is_whole else UNTOLD_CLIP_STYLE
    return _translation(layout, renamed, old_names, skipped + others, style)


def from_hugging_face(weights: Mapping[str, Tensor], config: Mapping[str, Any] | None = None) -> Translation:
    """Translate Hugging Face's ``CLIPVisionModel``, or the visual part of its ``CLIPModel``.

    Args:
        weights: with or without ``vision_model.`` before the names.
        config: content of the ``config.json`` that lies beside the file; it tells activation, epsilon and heads.
    """
    is_prefixed = any(name.startswith("vision_model.") for name in weights)
    visual, others = _under(weights, "vision_model.") if is_prefixed else (dict(weights), [])
    layout = "Hugging Face's CLIP"
    skip = r"post_layernorm\..*|embeddings\.position_ids|visual_projection\..*"
    renamed, old_names, skipped = rename(visual, _HF_RULES, skip=skip, layout=layout)
    config = (config or {}).get("vision_config", config)
    config = config if isinstance(config, Mapping) else {}
    style = UNTOLD_CLIP_STYLE._replace(
        activation=config.get("hidden_act"), norm_eps=config.get("layer_norm_eps", CLIP_STYLE.norm_eps)
    )
    translation = _translation(layout, renamed, old_names, skipped + others, style)
    return replace(translation, num_heads=config.get("num_attention_heads"))


def from_timm(weights: Mapping[str, Tensor], style: ViTStyle | None = None) -> Translation:
    """Translate timm's ``VisionTransformer``, the layout of supervised ViTs, DeiT, DINO and MAE, too.

    Args:
        weights: its state dict; ``visual.trunk.`` or ``backbone.`` may precede the names.
        style: if it is known; otherwise CLIP's with an unknown activation if there is a LayerNorm before the blocks,
            else that of supervised ViT, DeiT, DINO and MAE.
    """
    others: list[str] = []
    for prefix in TIMM_PARENTS[1:]:
        if f"{prefix}patch_embed.proj.weight" in weights:
            weights, others = _under(weights, prefix)
    for name in weights:
        for pattern, reason in _TIMM_REFUSED.items():
            if re.fullmatch(pattern, name):
                raise UserError(f"a ViT of timm's layout with {name} cannot be carried over exactly: {reason}")
    if "cls_token" not in weights:
        raise UserError("a ViT without class token cannot be carried over exactly: UniFormerV2's ViT has one")
    has_pre_norm = any(name.startswith("norm_pre.") for name in weights)
    layout = "a CLIP of timm" if has_pre_norm else "a ViT of timm's layout"
    renamed, old_names, skipped = rename(weights, _TIMM_RULES, skip=_TIMM_SKIP, layout=layout)
    style = style or (UNTOLD_CLIP_STYLE if has_pre_norm else PLAIN_STYLE)
    return _translation(layout, renamed, old_names, skipped + others, style)


def _under(weights: Mapping[str, Tensor], prefix: str) -> tuple[dict[str, Tensor], list[str]]:
    """The weights under a prefix, without it, and the names of the others."""
    inside = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    return inside, [name for name in weights if not name.startswith(prefix)]


def _translation(
    layout: str, weights: dict[str, Tensor], old_names: dict[str, str], skipped: list[str], style: ViTStyle
) -> Translation:
    """Rewrite what our ViT has no parameter for, and put ``backbone.`` before the names."""
    check_types(weights, layout)
    weights = {name: value.float() for name, value in weights.items()}
    notes = dict(old_names)
    _join_projections(weights, notes)
    _fold_layer_scale(weights, notes)
    _settle_positions(weights, notes, layout)
    return Translation(
        layout=layout,
        weights={f"backbone.{name}": value for name, value in weights.items()},
        family="Uniformerv2",
        remapped={f"backbone.{name}": notes[name] for name in weights},
        skipped=skipped,
        may_lack=ADDED_PARTS,
        inflates_at_centre=True,
        style=style._replace(has_pre_norm=any(name.startswith("ln_pre.") for name in weights)),
    )


def _join_projections(weights: dict[str, Tensor], notes: dict[str, str]) -> None:
    """Stack separate query, key and value projections; biases that are absent are 0."""
    for name in [name for name in weights if name.endswith("attn.q.weight")]:
        block = name.removesuffix("q.weight")
        for kind in ("weight", "bias"):
            parts = [f"{block}{part}.{kind}" for part in "qkv"]
            if all(part in weights for part in parts):
                weights[f"{block}in_proj_{kind}"] = torch.cat([weights.pop(part) for part in parts])
                notes[f"{block}in_proj_{kind}"] = " + ".join(notes[part] for part in parts)
    for name in [name for name in weights if name.endswith("attn.in_proj_weight")]:
        bias = name.removesuffix("weight") + "bias"
        if bias not in weights:
            weights[bias], notes[bias] = weights[name].new_zeros(len(weights[name])), "absent, 0"


def _fold_layer_scale(weights: dict[str, Tensor], notes: dict[str, str]) -> None:
    """Scale the output projection of a residual branch instead of the branch."""
    for name in [name for name in weights if name.endswith(".gamma")]:
        block, branch, _ = name.rsplit(".", 2)
        projection = f"{block}.{'attn.out_proj' if branch == 'ls_1' else 'mlp.c_proj'}"
        gamma = weights.pop(name)
        for kind in ("weight", "bias"):
            if f"{projection}.{kind}" in weights:
                value = weights[f"{projection}.{kind}"]
                weights[f"{projection}.{kind}"] = value * gamma.view(-1, *[1] * (value.ndim - 1))
                notes[f"{projection}.{kind}"] += f" * {notes[name]}"


def _settle_positions(weights: dict[str, Tensor], notes: dict[str, str], layout: str) -> None:
    """Positions (1 + grid^2, C) with the class token first; the bias of the patch embedding joins the patches'."""
    if "positional_embedding" not in weights or "conv1.weight" not in weights:
        return  # reported as missing with whatever else is
    weights["class_embedding"] = weights["class_embedding"].flatten()
    positions = weights["positional_embedding"].flatten(0, -2)
    if is_grid(len(positions)) and not is_grid(len(positions) - 1):
        positions = torch.cat([positions.new_zeros(1, positions.shape[1]), positions])
        notes["positional_embedding"] += ", 0 for the class token"
    if not is_grid(len(positions) - 1):
        raise UserError(f"{layout} has {len(positions)} positions, which is not a class token and a square grid")
    if "conv1.bias" in weights:
        positions = torch.cat([positions[:1], positions[1:] + weights.pop("conv1.bias")])
        notes["positional_embedding"] += f" + {notes['conv1.bias']}"
    weights["positional_embedding"] = positions
