"""Config of UniFormer (arXiv 2201.04676): its keys, what they may be, and its published learning rates."""

from collections.abc import Sequence

from fvcore.common.config import CfgNode

from slowfast.config.coerce import KeyType, none_or, number_or_list, to_float, to_str
from slowfast.config.ranges import ABOVE_ZERO, RATE, within
from slowfast.config.sections import RecipeRange, Section, register_section

NUM_STAGES = 4
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


def crops_fit_stride(cfg: CfgNode) -> str | None:
    """A Uniformer's stages cover whole crops."""
    for name in ("TRAIN_CROP_SIZE", "TEST_CROP_SIZE"):
        if cfg.DATA[name] % STRIDE_PX:
            return f"DATA.{name} is {cfg.DATA[name]}; accepted: multiples of {STRIDE_PX} px, the stride of Uniformer"
    return None


# From the values in tests/config/published, from which tests/engine/test_run_summary.py computes them again.
UNIFORMER_S = RecipeRange("UniFormer-S", 5e-5 / 128, 2e-4 / 32)  # UCF101 and HMDB51; Something-Something
UNIFORMER_B = RecipeRange("UniFormer-B", 1e-4 / 32, 2.5e-4 / 40)  # Kinetics; Something-Something
_RECIPES = {(3, 4, 8, 3): UNIFORMER_S, (5, 8, 20, 7): UNIFORMER_B}


def published_rates(cfg: CfgNode) -> RecipeRange | None:
    """The published recipes of the model with these depths."""
    return _RECIPES.get(tuple(cfg.UNIFORMER.DEPTH))


register_section(
    Section(
        name="UNIFORMER",
        models=["Uniformer"],
        defaults=_defaults(),
        types={
            "UNIFORMER.MLP_RATIO": KeyType(
                number_or_list(NUM_STAGES), f"a number, or a list of {NUM_STAGES} numbers (one for each stage)"
            ),
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
        },
        rules=[stages_fit, crops_fit_stride],
        random_start={"UNIFORMER.PRETRAIN_NAME": None},
        recipe=published_rates,
        ignored={
            "UNIFORMER.HEAD_DROPOUT_RATE": "it had no effect in the published model",
            "UNIFORMER.REPRESENTATION_SIZE": "the classifier reads the features directly",
        },
    )
)
