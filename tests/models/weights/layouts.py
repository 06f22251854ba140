"""Tiny models, and their weights as other code bases publish them."""

from pathlib import Path

import torch
from torch import Tensor, nn

from slowfast.config import load_config
from slowfast.datasets.labels import class_key, load_label_list
from slowfast.models import build_model
from slowfast.models.weights.class_order import HeadRules
from tests.golden_rule import golden_state_dict

TINY_V2 = {
    "MODEL.NUM_CLASSES": 5,
    "DATA.TRAIN_CROP_SIZE": 16,
    "DATA.TEST_CROP_SIZE": 16,
    "UNIFORMERV2.BACKBONE": "custom",
    "UNIFORMERV2.WIDTH": 24,
    "UNIFORMERV2.LAYERS": 3,
    "UNIFORMERV2.HEADS": 3,
    "UNIFORMERV2.PATCH_SIZE": 4,
    "UNIFORMERV2.NATIVE_SIZE": 16,
    "UNIFORMERV2.N_LAYERS": 2,
    "UNIFORMERV2.N_DIM": 24,
    "UNIFORMERV2.N_HEAD": 3,
    "UNIFORMERV2.RETURN_LIST": [1, 2],
    "UNIFORMERV2.MLP_DROPOUT": [0.5, 0.5],
    "UNIFORMERV2.TEMPORAL_DOWNSAMPLE": False,
    "UNIFORMERV2.PRETRAIN": "none",
}
# As many blocks as the published B/16 models, so that the names of the weights are theirs.
B16_NAMES = {
    "UNIFORMERV2.LAYERS": 12,
    "UNIFORMERV2.N_LAYERS": 4,
    "UNIFORMERV2.RETURN_LIST": [8, 9, 10, 11],
    "UNIFORMERV2.MLP_DROPOUT": [0.5] * 4,
    "UNIFORMERV2.NO_LMHRA": True,
}
PLAIN_VIT = {"UNIFORMERV2.ACTIVATION": "gelu", "UNIFORMERV2.PRE_NORM": False, "UNIFORMERV2.NORM_EPS": 1e-6}
TINY_V1 = {
    "MODEL.MODEL_NAME": "Uniformer",
    "MODEL.NUM_CLASSES": 5,
    "DATA.TRAIN_CROP_SIZE": 32,
    "DATA.TEST_CROP_SIZE": 32,
    "UNIFORMER.EMBED_DIM": [8, 16, 32, 48],
    "UNIFORMER.HEAD_DIM": 16,
}
TINY_LIGHT = TINY_V1 | {
    "MODEL.MODEL_NAME": "Uniformer_light_fp32",
    "DATA.TRAIN_CROP_SIZE": 64,
    "DATA.TEST_CROP_SIZE": 64,
    "UNIFORMER.DEPTH": [1, 2, 3, 2],
    "UNIFORMER.MLP_RATIO": 3,
    "UNIFORMER.PRUNE_RATIO": [[], [], [1, 0.5, 0.4], [0.5, 0.5]],
    "UNIFORMER.TRADE_OFF": [[], [], [1, 0.5, 0.3], [0.5, 0.5, 0.5]],
}


def tiny_cfg(keys: dict, **changes):
    """The config of a tiny model; in the names of ``changes`` two underscores stand for a dot."""
    merged = keys | {name.replace("__", "."): value for name, value in changes.items()}
    return load_config(None, [word for pair in merged.items() for word in pair])


def tiny_v2(keys: dict | None = None, **changes) -> nn.Module:
    """A tiny Uniformerv2 at its initialisation, in evaluation mode."""
    torch.manual_seed(0)
    return build_model(tiny_cfg(TINY_V2 | (keys or {}), **changes)).eval()


def tiny_v1(**changes) -> nn.Module:
    """A tiny Uniformer at its initialisation, in evaluation mode."""
    torch.manual_seed(0)
    return build_model(tiny_cfg(TINY_V1, **changes)).eval()


def golden_weights(model: nn.Module) -> dict[str, Tensor]:
    """Weights for a model, none of them at its initial value."""
    return golden_state_dict((name, value.shape) for name, value in model.state_dict().items())


def randomized(model: nn.Module) -> nn.Module:
    """Give a model golden weights."""
    model.load_state_dict(golden_weights(model))
    return model.eval()


def saved(folder: Path, content: object, name: str = "weights.pyth") -> str:
    """Path of a new checkpoint file."""
    torch.save(content, folder / name)
    return str(folder / name)


def rules(class_names: list[str] | None = None, **changes) -> HeadRules:
    """Rules for the head with the shipped lists."""
    return HeadRules(class_names, load_label_list, class_key, **changes)


def mmaction2_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our weights under MMAction2's names, written down independently of the code under test."""
    renamed = {}
    for name, value in weights.items():
        if name.startswith("backbone.transformer.proj.0."):
            name = name.replace("backbone.transformer.proj.0.", "backbone.transformer.norm.")
        elif name.startswith("backbone.transformer.proj.2."):
            name = name.replace("backbone.transformer.proj.2.", "cls_head.fc_cls.")
        elif name.startswith("head."):
            name = name.replace("head.", "cls_head.fc_cls.")
        elif not name.startswith("backbone."):
            name = "backbone." + name
        renamed[name] = value
    return renamed


def clip_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of timm's CLIP under OpenAI's names for its visual encoder."""
    names = {
        "cls_token": "class_embedding",
        "pos_embed": "positional_embedding",
        "patch_embed.proj.": "conv1.",
        "norm_pre.": "ln_pre.",
        "blocks.": "transformer.resblocks.",
        "norm1.": "ln_1.",
        "norm2.": "ln_2.",
        "attn.qkv.": "attn.in_proj_",
        "attn.proj.": "attn.out_proj.",
        "mlp.fc1.": "mlp.c_fc.",
        "mlp.fc2.": "mlp.c_proj.",
        "ls1.": "ls_1.",
        "ls2.": "ls_2.",
    }
    renamed = {}
    for name, value in weights.items():
        name = "ln_post." + name.removeprefix("norm.") if name.startswith("norm.") else name
        for old, new in names.items():
            name = name.replace(old, new)
        renamed[name] = value
    renamed["class_embedding"] = renamed["class_embedding"].flatten()
    renamed["positional_embedding"] = renamed["positional_embedding"][0]
    renamed["proj"] = torch.zeros(24, 8)
    return renamed


def hugging_face_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under OpenAI's names under those of Hugging Face's ``CLIPVisionModel``."""
    renamed = {}
    for name, value in weights.items():
        for old, new in (
            ("class_embedding", "embeddings.class_embedding"),
            ("positional_embedding", "embeddings.position_embedding.weight"),
            ("conv1.", "embeddings.patch_embedding."),
            ("ln_pre.", "pre_layrnorm."),
            ("ln_post.", "post_layernorm."),
            ("transformer.resblocks.", "encoder.layers."),
            ("ln_1.", "layer_norm1."),
            ("ln_2.", "layer_norm2."),
            ("attn.out_proj.", "self_attn.out_proj."),
            ("mlp.c_fc.", "mlp.fc1."),
            ("mlp.c_proj.", "mlp.fc2."),
        ):
            name = name.replace(old, new)
        if "attn.in_proj_" in name:
            for part, chunk in zip("qkv", value.chunk(3), strict=True):
                renamed[name.replace("attn.in_proj_", f"self_attn.{part}_proj.")] = chunk
        elif name != "proj":
            renamed[name] = value
    return renamed
