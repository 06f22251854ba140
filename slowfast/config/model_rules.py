"""Rules on the keys of the two model families; ``validate.py`` runs those of the family in use."""

from collections.abc import Callable
from itertools import pairwise

from fvcore.common.config import CfgNode

from slowfast.config.backbones import vit_size
from slowfast.errors import UserError

Rule = Callable[[CfgNode], str | None]

NUM_STAGES = 4  # of a Uniformer
UNIFORMER_STRIDE_PX = 32  # pixels to a token of a Uniformer's last stage


def stages_have_entries(cfg: CfgNode) -> str | None:
    """A Uniformer has four stages."""
    per_stage = {
        "UNIFORMER.DEPTH": cfg.UNIFORMER.DEPTH,
        "UNIFORMER.EMBED_DIM": cfg.UNIFORMER.EMBED_DIM,
        "MODEL.CHECKPOINT_NUM": cfg.MODEL.CHECKPOINT_NUM,
    }
    for key, value in per_stage.items():
        if len(value) != NUM_STAGES:
            return f"{key} is {value}; accepted: {NUM_STAGES} entries, one for each stage of a Uniformer"
    return None


def heads_divide_stages(cfg: CfgNode) -> str | None:
    """Stages 3 and 4 of a Uniformer have attention heads."""
    dims, head_dim = cfg.UNIFORMER.EMBED_DIM, cfg.UNIFORMER.HEAD_DIM
    if not any(dim % head_dim for dim in dims[2:]):
        return None
    told = f"UNIFORMER.EMBED_DIM is {dims} and UNIFORMER.HEAD_DIM {head_dim}"
    return f"{told}; make the channels of stages 3 and 4 multiples of HEAD_DIM"


def crops_fit_stride(cfg: CfgNode) -> str | None:
    """A Uniformer's stages cover whole crops."""
    for name in ("TRAIN_CROP_SIZE", "TEST_CROP_SIZE"):
        if cfg.DATA[name] % UNIFORMER_STRIDE_PX:
            return (
                f"DATA.{name} is {cfg.DATA[name]}; accepted: multiples of {UNIFORMER_STRIDE_PX} px, the stride of "
                f"Uniformer"
            )
    return None


def backbone_is_known(cfg: CfgNode) -> str | None:
    """The image backbone is a published one or custom."""
    try:
        vit_size(cfg)
    except UserError as error:
        return str(error)
    return None


def custom_backbone_divides(cfg: CfgNode) -> str | None:
    """A custom image backbone has whole heads and whole patches."""
    keys = cfg.UNIFORMERV2
    if keys.BACKBONE != "custom":
        return None
    for whole, part in (("WIDTH", "HEADS"), ("NATIVE_SIZE", "PATCH_SIZE")):
        if keys[whole] % keys[part]:
            told = f"UNIFORMERV2.{whole} is {keys[whole]} and UNIFORMERV2.{part} {keys[part]}"
            return f"{told}; make {whole} a multiple of {part}"
    return None


def crops_hold_patches(cfg: CfgNode) -> str | None:
    """A crop holds at least one patch."""
    patch_px = vit_size(cfg).patch_size_px
    for name in ("TRAIN_CROP_SIZE", "TEST_CROP_SIZE"):
        if cfg.DATA[name] < patch_px:
            told = f"DATA.{name} is {cfg.DATA[name]} and a patch of UNIFORMERV2.BACKBONE {cfg.UNIFORMERV2.BACKBONE}"
            return f"{told} is {patch_px} px; accepted: at least one patch"
    return None


def global_blocks_read_layers(cfg: CfgNode) -> str | None:
    """Each global block reads one layer of the image backbone, in order."""
    layers, num_blocks = cfg.UNIFORMERV2.RETURN_LIST, cfg.UNIFORMERV2.N_LAYERS
    depth = vit_size(cfg).num_layers
    told = f"UNIFORMERV2.RETURN_LIST is {layers}"
    if len(layers) != num_blocks:
        return f"{told} and UNIFORMERV2.N_LAYERS {num_blocks}; list as many layers as there are global blocks"
    if any(one >= other for one, other in pairwise(layers)):
        return f"{told}; accepted: layers in strictly increasing order"
    if layers and (layers[0] < 0 or layers[-1] >= depth):
        return f"{told}; accepted: 0 to {depth - 1}, the layers of UNIFORMERV2.BACKBONE {cfg.UNIFORMERV2.BACKBONE}"
    return None


def global_blocks_have_dropout(cfg: CfgNode) -> str | None:
    """Each global block has a dropout rate; more rates than blocks do no harm."""
    rates, num_blocks = cfg.UNIFORMERV2.MLP_DROPOUT, cfg.UNIFORMERV2.N_LAYERS
    if len(rates) >= num_blocks:
        return None
    told = f"UNIFORMERV2.MLP_DROPOUT is {rates} and UNIFORMERV2.N_LAYERS {num_blocks}"
    return f"{told}; give a rate for each global block"


def global_blocks_fit_backbone(cfg: CfgNode) -> str | None:
    """Global blocks are as wide as the backbone, and their heads divide that width."""
    keys, width = cfg.UNIFORMERV2, vit_size(cfg).width
    if width != keys.N_DIM:
        told = f"UNIFORMERV2.N_DIM is {keys.N_DIM} and the width of UNIFORMERV2.BACKBONE {keys.BACKBONE} is {width}"
        return f"{told}; set UNIFORMERV2.N_DIM to {width}"
    if width % keys.N_HEAD:
        told = f"UNIFORMERV2.N_HEAD is {keys.N_HEAD} and UNIFORMERV2.N_DIM {keys.N_DIM}"
        return f"{told}; give a number of heads that divides N_DIM"
    return None


def checkpointing_has_number(cfg: CfgNode) -> str | None:
    """The first entry of CHECKPOINT_NUM is read."""
    if cfg.MODEL.CHECKPOINT_NUM:
        return None
    return "MODEL.CHECKPOINT_NUM is []; accepted: one entry, the leading blocks to recompute, such as [0]"


UNIFORMER_RULES: list[Rule] = [stages_have_entries, heads_divide_stages, crops_fit_stride]

UNIFORMERV2_RULES: list[Rule] = [
    backbone_is_known,
    custom_backbone_divides,
    crops_hold_patches,
    global_blocks_read_layers,
    global_blocks_have_dropout,
    global_blocks_fit_backbone,
    checkpointing_has_number,
]
