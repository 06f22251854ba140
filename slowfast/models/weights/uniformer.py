"""What is known about the weights of UniFormer and its lightweight models.

Where training starts, and the forms in which they are published.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.config.uniformer import LAYER_SCALE_MODEL, LIGHT_MODELS
from slowfast.errors import UserError
from slowfast.models.weights.family import Layout, WeightsFamily
from slowfast.models.weights.files import find_weights
from slowfast.models.weights.mmaction2 import is_mmaction2, v1_from_mmaction2, v1_to_mmaction2
from slowfast.models.weights.translation import Translation, rename


def pretrained_source(cfg: CfgNode) -> str | None:
    """The weights that ``UNIFORMER.PRETRAIN_NAME`` names; None for a random start.

    Raises:
        UserError: if the file is missing, saying where to put it.
    """
    name = cfg.UNIFORMER.PRETRAIN_NAME
    if not name or name == "none":
        return None
    found = find_weights(name, cfg.MODEL.WEIGHTS_DIR, ("", ".pth", ".pyth", ".safetensors"))
    if found is None:
        raise UserError(
            f"UNIFORMER.PRETRAIN_NAME {name}: there is no {Path(cfg.MODEL.WEIGHTS_DIR, name + '.pth')}; download these "
            f"weights from the UniFormer model zoo and save them there, or set it to None to start at random"
        )
    return found


def _is_mmaction2(weights: Mapping[str, Tensor]) -> bool:
    return is_mmaction2(weights) and not any(name.startswith("backbone.transformer.") for name in weights)


def _is_uniformer(weights: Mapping[str, Tensor]) -> bool:
    return any(name.startswith(("blocks1.", "patch_embed1.")) for name in weights) and not _is_light(weights)


def _is_light(weights: Mapping[str, Tensor]) -> bool:
    return "cls_upsample.weight" in weights


def _from_authors(weights: Mapping[str, Tensor], _config: Mapping[str, Any] | None) -> Translation:
    """The authors' video weights, or their ImageNet weights: the same names and 2-D kernels."""
    if not any(value.ndim == 4 for value in weights.values()):
        return Translation("the authors' UniFormer", dict(weights), family="Uniformer", origin="authors")
    layout = "UniFormer's ImageNet weights"
    rules = [(r"((?:patch_embed\d\.(?:norm|proj)|blocks\d\.\d+\.(?!gamma).*|norm|head)\..*)", r"\1")]
    renamed, _, skipped = rename(weights, rules, skip=r"pre_logits\..*", layout=layout)
    # No temporal attention (UNIFORMER.SPLIT).
    may_lack = r"blocks\d\.\d+\.t_(attn|norm)\..*"
    return Translation(layout, renamed, family="Uniformer", skipped=skipped, may_lack=may_lack)


def _light_from_authors(weights: Mapping[str, Tensor], _config: Mapping[str, Any] | None) -> Translation:
    """The authors' video weights of a lightweight model, or their ImageNet weights, which have no LayerScale."""
    if not any(value.ndim == 4 for value in weights.values()):
        family = LAYER_SCALE_MODEL if "blocks1.0.gamma_1" in weights else LIGHT_MODELS[0]
        return Translation("the authors' UniFormer, lightweight", dict(weights), family=family, origin="authors")
    layout = "ImageNet weights of a lightweight UniFormer"
    may_lack = r"blocks\d\.\d+\.gamma_[12]"
    return Translation(layout, dict(weights), family=LIGHT_MODELS[0], may_lack=may_lack)


_HINTS = {
    ".t_attn": "UNIFORMER.SPLIT",
    "gamma_": f"MODEL.MODEL_NAME ({LAYER_SCALE_MODEL} has LayerScale)",
    "patch_embed": "UNIFORMER.STD and EMBED_DIM",
    "blocks": "UNIFORMER.DEPTH, EMBED_DIM and MLP_RATIO",
}

UNIFORMER_WEIGHTS = WeightsFamily(
    layouts=[
        Layout(_is_mmaction2, lambda weights, _config: v1_from_mmaction2(weights)),
        Layout(_is_uniformer, _from_authors),
    ],
    pretrained_source=pretrained_source,
    hints=_HINTS,
    to_mmaction2=v1_to_mmaction2,
)
UNIFORMER_LIGHT_WEIGHTS = WeightsFamily(
    layouts=[Layout(_is_light, _light_from_authors)],
    pretrained_source=pretrained_source,
    hints=_HINTS,
)
