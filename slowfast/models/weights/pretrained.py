"""The weights that training starts from, as the config names them."""

from pathlib import Path

from fvcore.common.config import CfgNode
from torch import nn

from slowfast.errors import UserError
from slowfast.models.weights.class_order import HeadRules
from slowfast.models.weights.files import find_weights
from slowfast.models.weights.load import load_source
from slowfast.models.weights.report import WeightsReport
from slowfast.models.weights.sources import refuse_light
from slowfast.models.weights.timm_models import TIMM_PREFIX

# File under MODEL.WEIGHTS_DIR that holds the visual encoder of OpenAI's CLIP, and the model's name there.
CLIP_FILES = {
    "b16": ("vit_b16.pth", "ViT-B/16"),
    "l14": ("vit_l14.pth", "ViT-L/14"),
    "l14_336": ("vit_l14_336.pth", "ViT-L/14@336px"),
}


def load_pretrained(cfg: CfgNode, model: nn.Module, rules: HeadRules) -> WeightsReport | None:
    """Give a new model the weights that training starts from.

    Of a Uniformerv2 ``UNIFORMERV2.PRETRAIN`` names them: ``none`` keeps the random initialisation, empty means the
    backbone's CLIP weights. Of a Uniformer ``UNIFORMER.PRETRAIN_NAME`` does, and without one training starts at random.

    Returns:
        What was done; None if nothing was loaded.

    Raises:
        UserError: if the file is missing, saying where to put it, or does not fit; the model is untouched then.
    """
    is_v2 = cfg.MODEL.MODEL_NAME == "Uniformerv2"
    name = _v2_pretrain(cfg) if is_v2 else _v1_pretrain(cfg)
    return load_source(model, name, rules) if name else None


def _v1_pretrain(cfg: CfgNode) -> str | None:
    name = cfg.UNIFORMER.PRETRAIN_NAME
    if not name or name == "none":
        return None
    refuse_light(name)
    found = find_weights(name, cfg.MODEL.WEIGHTS_DIR, ("", ".pth", ".pyth", ".safetensors"))
    if found is None:
        raise UserError(
            f"UNIFORMER.PRETRAIN_NAME {name}: there is no {Path(cfg.MODEL.WEIGHTS_DIR, name + '.pth')}; download these "
            f"weights from the UniFormer model zoo and save them there, or set it to None to start at random"
        )
    return found


def _v2_pretrain(cfg: CfgNode) -> str | None:
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
    if not path.is_file():
        raise UserError(
            f"UNIFORMERV2.PRETRAIN is empty, but there is no {path}; save the state dict of the visual encoder of "
            f"OpenAI's CLIP {clip_name} there, or set UNIFORMERV2.PRETRAIN to a file (jit:FILE for OpenAI's archive), "
            f"or to none to start at random"
        )
    return str(path)
