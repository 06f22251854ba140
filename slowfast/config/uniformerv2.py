"""Config of UniFormerV2 (arXiv 2211.09552): its keys, what they may be, the image ViTs that it arms, and its published
learning rates."""

from itertools import pairwise
from typing import NamedTuple

from fvcore.common.config import CfgNode

from slowfast.config.ranges import ABOVE_ZERO, RATE, at_least, within
from slowfast.config.sections import RecipeRange, Section, register_section
from slowfast.errors import UserError


def _defaults() -> CfgNode:
    """Keys of UniFormerV2: an image ViT, local UniBlocks inside it, global ones beside it."""
    section = CfgNode()
    # Image ViT: uniformerv2_b16, uniformerv2_l14, uniformerv2_l14_336 (vit_b16, vit_l14, vit_l14_336 mean the
    # same), or custom, which takes its sizes from the five keys below.
    section.BACKBONE = "uniformerv2_b16"
    # custom: channels.
    section.WIDTH = 768
    # custom: blocks.
    section.LAYERS = 12
    # custom: attention heads, dividing WIDTH.
    section.HEADS = 12
    # custom: side of a patch in pixels.
    section.PATCH_SIZE = 16
    # custom: input size in pixels whose grid the positional embedding has.
    section.NATIVE_SIZE = 224
    # Weights to start from: "" the backbone's CLIP weights (vit_b16.pth, vit_l14.pth or vit_l14_336.pth under
    # MODEL.WEIGHTS_DIR), "none" random initialisation, "timm:<model>" an image ViT that timm downloads, otherwise a
    # file (looked for as given, then under MODEL.WEIGHTS_DIR) or an http(s) address, "#sha256=<digits>" after it
    # checks it. "jit:" before a file or an address opens a TorchScript archive, as OpenAI's CLIP comes.
    section.PRETRAIN = ""
    # A classifier of another size in PRETRAIN: True initialises ours afresh, with a warning if its classes are ours;
    # False maps its rows by class name.
    section.DELETE_SPECIAL_HEAD = False
    # Activation of the ViT: quick_gelu (OpenAI's CLIP) or gelu (most others). "" is quick_gelu, too, but refuses
    # weights that do not tell which of the two they were trained with.
    section.ACTIVATION = ""
    # LayerNorm before the ViT's first block: True for CLIP, False for supervised ViT, DeiT, DINO and MAE.
    section.PRE_NORM = True
    # Epsilon of the ViT's LayerNorms: 1e-5 for CLIP, 1e-6 for supervised ViT, DeiT, DINO and MAE.
    section.NORM_EPS = 1e-5
    # Train only what is added to the image ViT.
    section.FROZEN = False
    # Halve the frames: the patch embedding spans three frames with a stride of two.
    section.TEMPORAL_DOWNSAMPLE = True
    # Leave the local temporal attention (LMHRA) out of the ViT's blocks.
    section.NO_LMHRA = False
    # LMHRA both before and after the spatial attention (True) or only before it (False).
    section.DOUBLE_LMHRA = True
    # Factor by which LMHRA reduces the channels, at least 1.
    section.DW_REDUCTION = 1.5
    # Stochastic depth of the ViT's last block, in [0, 1); it grows linearly from 0 at the first.
    section.BACKBONE_DROP_PATH_RATE = 0.0
    # Global UniBlocks.
    section.N_LAYERS = 4
    # 0-based ViT blocks whose tokens the global UniBlocks read, one each, increasing.
    section.RETURN_LIST = [8, 9, 10, 11]
    # Channels of the global UniBlocks: the ViT's width (768 for b16, 1024 for l14).
    section.N_DIM = 768
    # Attention heads of the global UniBlocks, dividing N_DIM.
    section.N_HEAD = 12
    # Hidden width of their feed-forward networks over N_DIM.
    section.MLP_FACTOR = 4.0
    # Dropout of their feed-forward networks, at least one rate per block, each in [0, 1).
    section.MLP_DROPOUT = [0.5, 0.5, 0.5, 0.5]
    # Stochastic depth of the last global UniBlock, in [0, 1); it grows linearly from 0 at the first.
    section.DROP_PATH_RATE = 0.0
    # What stochastic depth drops at once. video: each residual branch of each video by itself. upstream, as the
    # authors' code does: attention and MLP of the ViT's blocks for each token position, in all frames of all videos of
    # a GPU's batch alike; the branches of the global UniBlocks for its whole batch; LMHRA for each video by itself.
    section.DROP_PATH_STYLE = "video"
    # Dropout before the classifier, in [0, 1).
    section.CLS_DROPOUT = 0.5
    return section


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


def why_no_whole_patches(side_px: int, patch_px: int) -> str | None:
    """Why a side of a frame is not cut into patches, with the nearest that are; None if it is.

    Of other sides the patch embedding would leave out the last pixels without a word.
    """
    if side_px > 0 and side_px % patch_px == 0:
        return None
    below = side_px // patch_px * patch_px
    nearest = " and ".join(str(side) for side in (below, below + patch_px) if side > 0)
    return f"{side_px} px, no multiple of the patch of {patch_px} px; the nearest multiples: {nearest}"


def crops_hold_patches(cfg: CfgNode) -> str | None:
    """Crops are cut into whole patches."""
    for name in ("TRAIN_CROP_SIZE", "TEST_CROP_SIZE"):
        if problem := why_no_whole_patches(cfg.DATA[name], vit_size(cfg).patch_size_px):
            return f"DATA.{name} is {problem} (UNIFORMERV2.BACKBONE {cfg.UNIFORMERV2.BACKBONE})"
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


# From the values in tests/config/published, from which tests/engine/test_run_summary.py computes them again.
V2_B16 = RecipeRange("UniFormerV2-B/16", 2e-6 / 256, 4e-5 / 128)  # K710 to Kinetics; Something-Something
V2_L14 = RecipeRange("UniFormerV2-L/14", 1.5e-6 / 256, 2e-5 / 128)  # the same
V2_L14_FROZEN = RecipeRange("UniFormerV2-L/14 with a frozen ViT", 5e-5 / 512, 8e-4 / 512)  # K710 to Kinetics; from CLIP
# (ViT, whether it is frozen); L/14 at 336 px is the same ViT with another grid of positions.
_RECIPES = {
    ("uniformerv2_b16", False): V2_B16,
    ("uniformerv2_l14", False): V2_L14,
    ("uniformerv2_l14", True): V2_L14_FROZEN,
    ("uniformerv2_l14_336", False): V2_L14,
    ("uniformerv2_l14_336", True): V2_L14_FROZEN,
}


def published_rates(cfg: CfgNode) -> RecipeRange | None:
    """The published recipes of the model with this ViT."""
    if cfg.UNIFORMERV2.BACKBONE == "custom":
        return None
    size = vit_size(cfg)
    name = next(name for name, known in BACKBONES.items() if known == size)  # vit_b16 means uniformerv2_b16
    return _RECIPES.get((name, cfg.UNIFORMERV2.FROZEN))


register_section(
    Section(
        name="UNIFORMERV2",
        models=["Uniformerv2"],
        defaults=_defaults(),
        choices={
            "UNIFORMERV2.ACTIVATION": ("", "quick_gelu", "gelu"),
            "UNIFORMERV2.DROP_PATH_STYLE": ("video", "upstream"),
        },
        paths=["UNIFORMERV2.PRETRAIN"],
        ranges={
            "UNIFORMERV2.WIDTH": within(1, 100_000),
            "UNIFORMERV2.LAYERS": within(1, 1000),
            "UNIFORMERV2.HEADS": within(1, 100_000),
            "UNIFORMERV2.PATCH_SIZE": within(1, 10_000),
            "UNIFORMERV2.NATIVE_SIZE": within(1, 10_000),
            "UNIFORMERV2.NORM_EPS": ABOVE_ZERO,
            "UNIFORMERV2.DW_REDUCTION": at_least(1),
            "UNIFORMERV2.BACKBONE_DROP_PATH_RATE": RATE,
            "UNIFORMERV2.N_LAYERS": within(0, 1000),
            "UNIFORMERV2.N_DIM": within(1, 100_000),
            "UNIFORMERV2.N_HEAD": within(1, 100_000),
            "UNIFORMERV2.MLP_FACTOR": ABOVE_ZERO,
            "UNIFORMERV2.MLP_DROPOUT": RATE,
            "UNIFORMERV2.DROP_PATH_RATE": RATE,
            "UNIFORMERV2.CLS_DROPOUT": RATE,
        },
        rules=[
            backbone_is_known,
            custom_backbone_divides,
            crops_hold_patches,
            global_blocks_read_layers,
            global_blocks_have_dropout,
            global_blocks_fit_backbone,
            checkpointing_has_number,
        ],
        random_start={"UNIFORMERV2.PRETRAIN": "none"},
        recipe=published_rates,
    )
)
