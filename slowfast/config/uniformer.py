"""Config of UniFormer (arXiv 2201.04676) and its lightweight models.

Their keys, what these may be, and the published learning rates.
"""

from collections.abc import Sequence

from fvcore.common.config import CfgNode

from slowfast.config.coerce import KeyType, lists_of_numbers, none_or, number_or_list, to_float, to_str
from slowfast.config.ranges import ABOVE_ZERO, RATE, within
from slowfast.config.sections import RecipeRange, Section, register_section

NUM_STAGES = 4
# The lightweight models' names, as their authors gave them.
LAYER_SCALE_MODEL = "Uniformer_light_ls_fp32"
LIGHT_MODELS = ("Uniformer_light", "Uniformer_light_fp32", LAYER_SCALE_MODEL)
STRIDE_PX = 32  # pixels of the input per token of the last stage: 4 * 2 * 2 * 2


def _defaults() -> CfgNode:
    """Keys of UniFormer; lists have one entry for each of its four stages."""
    section = CfgNode()
    # Published weights to start from, such as uniformer_small_in1k, found under MODEL.WEIGHTS_DIR as <name>.pth or
    # .pyth; or a file or an address, as for UNIFORMERV2.PRETRAIN; None for random initialisation.
    section.PRETRAIN_NAME = None
    # Blocks of each stage.
    section.DEPTH = [3, 4, 8, 3]
    # Channels of each stage; stages 3 and 4 need multiples of HEAD_DIM.
    section.EMBED_DIM = [64, 128, 320, 512]
    # Channels of an attention head.
    section.HEAD_DIM = 64
    # Hidden width of the feed-forward networks over the channels: one number, or one for each stage.
    section.MLP_RATIO = [4.0, 4.0, 4.0, 4.0]
    # Learn a bias for queries, keys and values.
    section.QKV_BIAS = True
    # Scale of the attention scores; None is HEAD_DIM ** -0.5.
    section.QKV_SCALE = None
    # Dropout after the patch embedding, in feed-forward networks and of the attention's output, in [0, 1).
    section.DROPOUT_RATE = 0.0
    # Dropout of attention weights, in [0, 1).
    section.ATTENTION_DROPOUT_RATE = 0.0
    # Stochastic depth of the last block, in [0, 1); it grows linearly from 0 at the first.
    section.DROP_DEPTH_RATE = 0.1
    # Stages 3 and 4 attend over time, then over space (True), or over both at once (False).
    section.SPLIT = False
    # Patch embeddings 2 to 4 overlap in time: their kernels span three frames rather than one.
    section.STD = False
    # Lightweight models (Uniformer_light...): share of the tokens that each block of stages 3 and 4 keeps, in (0, 1]; a
    # list for each stage, [] for the first two. The first block of stage 3 keeps all (1); what a list has beyond
    # DEPTH counts nothing.
    section.PRUNE_RATIO = [[], [], [1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]
    # Lightweight models: weight of a block's attention in the running score of the tokens, in [0, 1]; lists as above.
    section.TRADE_OFF = [[], [], [1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]
    # Uniformer_light_ls_fp32: value at which LayerScale starts, above 0.
    section.INIT_VALUE = 0.1
    return section


def stage_problem(
    *,
    depth: Sequence[int],
    embed_dim: Sequence[int],
    mlp_ratio: float | Sequence[float],
    head_dim: int,
    checkpoint_num: Sequence[int],
) -> str | None:
    """What does not fit the four stages of a UniFormer, the last two with attention heads; None if all does."""
    per_stage = {
        "UNIFORMER.DEPTH": depth,
        "UNIFORMER.EMBED_DIM": embed_dim,
        "UNIFORMER.MLP_RATIO": mlp_ratio if isinstance(mlp_ratio, Sequence) else [mlp_ratio] * NUM_STAGES,
        "MODEL.CHECKPOINT_NUM": checkpoint_num,
    }
    for key, value in per_stage.items():
        if len(value) != NUM_STAGES:
            return f"{key} is {list(value)}; accepted: {NUM_STAGES} entries, one for each stage of a Uniformer"
    if any(dim % head_dim for dim in embed_dim[2:]):
        told = f"UNIFORMER.EMBED_DIM is {list(embed_dim)} and UNIFORMER.HEAD_DIM {head_dim}"
        return f"{told}; make the channels of stages 3 and 4 multiples of HEAD_DIM"
    return None


def stages_fit(cfg: CfgNode) -> str | None:
    """A Uniformer has four stages, the last two with attention heads."""
    keys = cfg.UNIFORMER
    return stage_problem(
        depth=keys.DEPTH,
        embed_dim=keys.EMBED_DIM,
        mlp_ratio=keys.MLP_RATIO,
        head_dim=keys.HEAD_DIM,
        checkpoint_num=cfg.MODEL.CHECKPOINT_NUM,
    )


def pruning_problem(
    *, depth: Sequence[int], prune_ratio: Sequence[Sequence[float]], trade_off: Sequence[Sequence[float]]
) -> str | None:
    """What does not fit the blocks of a lightweight UniFormer; None if all does."""
    for key, lists, is_share, phrase in (
        ("UNIFORMER.PRUNE_RATIO", prune_ratio, lambda value: 0 < value <= 1, "(0, 1]"),
        ("UNIFORMER.TRADE_OFF", trade_off, lambda value: 0 <= value <= 1, "[0, 1]"),
    ):
        told = f"{key} is {[list(values) for values in lists]}"
        if len(lists) != NUM_STAGES:
            return f"{told}; accepted: {NUM_STAGES} lists, one for each stage"
        if any(lists[:2]):
            return f"{told}; leave the first two lists empty: stages 1 and 2 prune no tokens"
        if any(len(values) < num_blocks for values, num_blocks in list(zip(lists, depth, strict=True))[2:]):
            return f"{told} and UNIFORMER.DEPTH {list(depth)}; give stages 3 and 4 a number for each of their blocks"
        if not all(is_share(value) for values in lists for value in values):
            return f"{told}; accepted: each number in {phrase}"
    if prune_ratio[2][0] != 1:
        told = f"UNIFORMER.PRUNE_RATIO is {[list(values) for values in prune_ratio]}"
        return f"{told}; make the first number of stage 3 a 1: no token has a score before that block"
    return None


def pruning_fits(cfg: CfgNode) -> str | None:
    """Every block of a lightweight model knows how many tokens it keeps, and is of the one kind that prunes."""
    keys = cfg.UNIFORMER
    if cfg.MODEL.MODEL_NAME not in LIGHT_MODELS:
        return None
    if keys.SPLIT:
        return f"UNIFORMER.SPLIT is True; {cfg.MODEL.MODEL_NAME} has no divided attention; set it to False"
    return pruning_problem(depth=keys.DEPTH, prune_ratio=keys.PRUNE_RATIO, trade_off=keys.TRADE_OFF)


def crops_fit_stride(cfg: CfgNode) -> str | None:
    """A Uniformer's stages cover whole crops."""
    for name in ("TRAIN_CROP_SIZE", "TEST_CROP_SIZE"):
        if cfg.DATA[name] % STRIDE_PX:
            return f"DATA.{name} is {cfg.DATA[name]}; accepted: multiples of {STRIDE_PX} px, the stride of Uniformer"
    return None


# From the values in tests/config/published, from which tests/engine/test_run_summary.py computes them again.
UNIFORMER_S = RecipeRange("UniFormer-S", 5e-5 / 128, 2e-4 / 32)  # UCF101 and HMDB51; Something-Something
UNIFORMER_B = RecipeRange("UniFormer-B", 1e-4 / 32, 2.5e-4 / 40)  # Kinetics; Something-Something
UNIFORMER_XXS = RecipeRange("UniFormer-XXS", 4e-4 / 256, 8e-4 / 256)  # Kinetics: 4 and 8 frames; 16 and 32
UNIFORMER_XS = RecipeRange("UniFormer-XS", 4e-4 / 128, 4e-4 / 128)
_RECIPES = {
    (3, 4, 8, 3): UNIFORMER_S,
    (5, 8, 20, 7): UNIFORMER_B,
    (2, 5, 8, 2): UNIFORMER_XXS,
    (3, 5, 9, 3): UNIFORMER_XS,
}


def published_rates(cfg: CfgNode) -> RecipeRange | None:
    """The published recipes of the model with these depths."""
    return _RECIPES.get(tuple(cfg.UNIFORMER.DEPTH))


_PER_BLOCK = KeyType(lists_of_numbers, f"{NUM_STAGES} lists of numbers (one list for each stage, [] for the first two)")

register_section(
    Section(
        name="UNIFORMER",
        models=["Uniformer", *LIGHT_MODELS],
        defaults=_defaults(),
        types={
            "UNIFORMER.MLP_RATIO": KeyType(
                number_or_list(NUM_STAGES), f"a number, or a list of {NUM_STAGES} numbers (one for each stage)"
            ),
            "UNIFORMER.PRUNE_RATIO": _PER_BLOCK,
            "UNIFORMER.TRADE_OFF": _PER_BLOCK,
            "UNIFORMER.PRETRAIN_NAME": KeyType(none_or(to_str), "a str or None"),
            "UNIFORMER.QKV_SCALE": KeyType(none_or(to_float), "a finite number or None"),
        },
        paths=["UNIFORMER.PRETRAIN_NAME"],
        ranges={
            "UNIFORMER.DEPTH": within(1, 1000),
            "UNIFORMER.EMBED_DIM": within(1, 100_000),
            "UNIFORMER.HEAD_DIM": within(1, 100_000),
            "UNIFORMER.MLP_RATIO": ABOVE_ZERO,
            "UNIFORMER.DROPOUT_RATE": RATE,
            "UNIFORMER.ATTENTION_DROPOUT_RATE": RATE,
            "UNIFORMER.DROP_DEPTH_RATE": RATE,
            "UNIFORMER.INIT_VALUE": ABOVE_ZERO,
        },
        rules=[stages_fit, crops_fit_stride, pruning_fits],
        random_start={"UNIFORMER.PRETRAIN_NAME": None},
        recipe=published_rates,
        ignored={
            "UNIFORMER.HEAD_DROPOUT_RATE": "it had no effect in the published model",
            "UNIFORMER.REPRESENTATION_SIZE": "the classifier reads the features directly",
        },
    )
)
