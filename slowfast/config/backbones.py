"""The image ViTs that UniFormerV2 arms, by name."""

from typing import NamedTuple

from fvcore.common.config import CfgNode

from slowfast.errors import UserError


class ViTSize(NamedTuple):
    """Size of an image ViT; ``native_size_px`` is the image size whose grid the positional embedding has."""

    width: int
    num_layers: int
    num_heads: int
    patch_size_px: int
    native_size_px: int


BACKBONES = {
    "uniformerv2_b16": ViTSize(768, 12, 12, 16, 224),
    "uniformerv2_l14": ViTSize(1024, 24, 16, 14, 224),
    "uniformerv2_l14_336": ViTSize(1024, 24, 16, 14, 336),
}
BACKBONES |= {f"vit_{name.removeprefix('uniformerv2_')}": size for name, size in BACKBONES.items()}


def vit_size(cfg: CfgNode) -> ViTSize:
    """The ViT that ``UNIFORMERV2.BACKBONE`` names: a published one, or ``custom``, whose sizes are keys.

    Raises:
        UserError: if there is no such backbone.
    """
    keys = cfg.UNIFORMERV2
    if keys.BACKBONE == "custom":
        return ViTSize(keys.WIDTH, keys.LAYERS, keys.HEADS, keys.PATCH_SIZE, keys.NATIVE_SIZE)
    if keys.BACKBONE not in BACKBONES:
        raise UserError(f"UNIFORMERV2.BACKBONE is {keys.BACKBONE!r}; accepted: {', '.join([*BACKBONES, 'custom'])}")
    return BACKBONES[keys.BACKBONE]
