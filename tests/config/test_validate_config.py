"""Each rule refuses what it is for, in one line that names key, value and remedy."""

import pytest

from slowfast.config import load_config
from slowfast.config.choices import MANY_NAMES, REGISTERED
from slowfast.config.load import flatten, get_cfg
from slowfast.config.ranges import CHOICES, RANGES
from slowfast.config.sections import SECTIONS
from slowfast.errors import UserError

V1 = ["MODEL.MODEL_NAME", "Uniformer"]
LIGHT = ["MODEL.MODEL_NAME", "Uniformer_light"]
MULTI_LABEL = ["DATA.MULTI_LABEL", True, "MODEL.LOSS_FUNC", "bce_logit"]
STEPS = ["SOLVER.LR_POLICY", "steps_with_relative_lrs", "SOLVER.MAX_EPOCH", 50]
L14 = {
    "BACKBONE": "uniformerv2_l14",
    "N_DIM": 1024,
    "N_HEAD": 16,
    "RETURN_LIST": [20, 21, 22, 23],
}
CUSTOM = {
    "BACKBONE": "custom",
    "WIDTH": 64,
    "LAYERS": 4,
    "HEADS": 4,
    "PATCH_SIZE": 8,
    "NATIVE_SIZE": 32,
    "N_DIM": 64,
    "N_HEAD": 4,
    "N_LAYERS": 2,
    "RETURN_LIST": [2, 3],
}


def v2(size: dict, **changes) -> list:
    """Overrides for UniFormerV2 with the changes named without their section."""
    keys = {f"UNIFORMERV2.{name}": value for name, value in (size | changes).items()}
    return [word for pair in keys.items() for word in pair] + ["DATA.TEST_CROP_SIZE", 224]


REFUSED = [
    (["TRAIN.BATCH_SIZE", 6, "NUM_GPUS", 4], "TRAIN.BATCH_SIZE is 6 and NUM_GPUS 4; make TRAIN.BATCH_SIZE a multiple"),
    (["TEST.BATCH_SIZE", 6, "NUM_GPUS", 4], "TEST.BATCH_SIZE is 6 and NUM_GPUS 4; make TEST.BATCH_SIZE a multiple"),
    (
        ["DATA.MEAN", [0.5]],
        "DATA.MEAN is [0.5]; accepted: 3 numbers, one for each channel in the order of DATA.CHANNEL_ORDER",
    ),
    (
        ["DATA.STD", [0.5, 0.5]],
        "DATA.STD is [0.5, 0.5]; accepted: 3 numbers, one for each channel in the order of DATA.CHANNEL_ORDER",
    ),
    (["DATA.STD", [0, 1, 1]], "DATA.STD is [0.0, 1.0, 1.0]; accepted: each item above 0"),
    (["DATA.TRAIN_JITTER_SCALES", [320, 256]], "DATA.TRAIN_JITTER_SCALES is [320, 256]; accepted: [smallest, largest]"),
    (["DATA.TRAIN_JITTER_SCALES", []], "DATA.TRAIN_JITTER_SCALES is []; accepted: [smallest, largest]"),
    (
        ["DATA.TRAIN_JITTER_ASPECT_RELATIVE", [1.0]],
        "DATA.TRAIN_JITTER_ASPECT_RELATIVE is [1.0]; accepted: [smallest, largest] or []",
    ),
    (
        ["DATA.TRAIN_JITTER_SCALES_RELATIVE", [0.1, 1]],
        "DATA.TRAIN_JITTER_SCALES_RELATIVE is [0.1, 1.0] and DATA.TRAIN_JITTER_ASPECT_RELATIVE []; give both for",
    ),
    (
        ["DATA.TRAIN_CROP_SIZE", 320],
        "DATA.TRAIN_CROP_SIZE is 320, larger than the smallest of DATA.TRAIN_JITTER_SCALES, 256; enlarge the scales",
    ),
    (["DATA.PATH_LABEL_SEPARATOR", ""], "DATA.PATH_LABEL_SEPARATOR is empty; give what separates path and label"),
    (["DATA.IMAGE_TEMPLATE", "1.jpg"], "DATA.IMAGE_TEMPLATE is '1.jpg'; it needs a place for a number, as in {:05d}"),
    (["DATA.IMAGE_TEMPLATE", "{.jpg"], "DATA.IMAGE_TEMPLATE is '{.jpg'; it needs a place for a number"),
    (["DATA.LABEL_PATH_TEMPLATE", "a.txt"], "DATA.LABEL_PATH_TEMPLATE is 'a.txt'; it needs a place for the split"),
    (["AUG.AA_TYPE", "randm7"], "AUG.AA_TYPE is 'randm7'; accepted: rand-m7-n4-mstd0.5-inc1 and the like, or ''"),
    (
        [*MULTI_LABEL, "TRAIN.CLASS_SAMPLING", "balanced"],
        "TRAIN.CLASS_SAMPLING is balanced and DATA.MULTI_LABEL True; videos of several labels cannot be drawn so that",
    ),
    (
        ["TRAIN.CLASS_SAMPLING", "balanced", "MODEL.CLASS_WEIGHTS", "balanced"],
        "TRAIN.CLASS_SAMPLING is balanced and MODEL.CLASS_WEIGHTS balanced; together they favour rare classes twice:",
    ),
    (["MIXUP.ENABLE", True], "MIXUP.ENABLE is True and MODEL.LOSS_FUNC cross_entropy; mixed targets need soft_cross_"),
    (
        ["MODEL.LOSS_FUNC", "soft_cross_entropy"],
        "MIXUP.ENABLE is False and MODEL.LOSS_FUNC soft_cross_entropy; soft_cross_entropy needs mixed targets: set",
    ),
    (
        ["MODEL.LOSS_FUNC", "bce_logit"],
        "DATA.MULTI_LABEL is False and MODEL.LOSS_FUNC bce_logit; bce_logit is for several labels per video: set MULTI",
    ),
    (
        ["DATA.MULTI_LABEL", True],
        "DATA.MULTI_LABEL is True and MODEL.LOSS_FUNC cross_entropy; "
        "several labels per video need bce_logit: set MODEL",
    ),
    (
        [*MULTI_LABEL, "MIXUP.ENABLE", True],
        "DATA.MULTI_LABEL is True and MIXUP.ENABLE True; only single labels are mixed: set MIXUP.ENABLE to False",
    ),
    (
        ["DATA.MULTI_LABEL", True, "MIXUP.ENABLE", True, "MODEL.LOSS_FUNC", "soft_cross_entropy"],
        "DATA.MULTI_LABEL is True and MIXUP.ENABLE True; only single labels are mixed",
    ),
    (
        [*MULTI_LABEL, "DATA.PATH_LABEL_SEPARATOR", "; "],
        "DATA.MULTI_LABEL is True and DATA.PATH_LABEL_SEPARATOR '; '; ';' joins the labels of a video: give another",
    ),
    (
        [*MULTI_LABEL, "MODEL.LABEL_SMOOTHING", 0.1],
        "MODEL.LABEL_SMOOTHING is 0.1 and MODEL.LOSS_FUNC bce_logit; only cross_entropy is smoothed: set LABEL_SMOOTH",
    ),
    (
        ["MIXUP.ENABLE", True, "MODEL.LOSS_FUNC", "soft_cross_entropy", "MODEL.LABEL_SMOOTHING", 0.1],
        "MODEL.LABEL_SMOOTHING is 0.1 and MIXUP.ENABLE True; mixed targets are smoothed by MIXUP.LABEL_SMOOTH_VALUE",
    ),
    (["MODEL.LABEL_SMOOTHING", 1], "MODEL.LABEL_SMOOTHING is 1.0; accepted: in [0, 1)"),
    (["MODEL.LOSS_FUNC", "bce"], "MODEL.LOSS_FUNC is 'bce'; accepted: cross_entropy, soft_cross_entropy, bce_logit"),
    (["SOLVER.LAYER_DECAY", 0], "SOLVER.LAYER_DECAY is 0.0; accepted: in (0, 1]"),
    (["SOLVER.LAYER_DECAY", 1.1], "SOLVER.LAYER_DECAY is 1.1; accepted: in (0, 1]"),
    (
        ["SOLVER.WARMUP_EPOCHS", 6, "SOLVER.MAX_EPOCH", 5],
        "SOLVER.WARMUP_EPOCHS is 6.0 and SOLVER.MAX_EPOCH 5; shorten the warm-up to at most MAX_EPOCH",
    ),
    (["SOLVER.COSINE_END_LR", 1], "SOLVER.COSINE_END_LR is 1.0 and SOLVER.BASE_LR 0.1; lower COSINE_END_LR to at most"),
    (
        [*STEPS, "SOLVER.STEPS", [0, 3], "SOLVER.LRS", [1]],
        "SOLVER.STEPS is [0, 3] and SOLVER.LRS [1.0]; give as many LRS as STEPS",
    ),
    (STEPS, "SOLVER.STEPS is []; accepted for LR_POLICY steps_with_relative_lrs: epochs that begin with 0, increase"),
    ([*STEPS, "SOLVER.STEPS", [1, 3], "SOLVER.LRS", [1, 0.1]], "SOLVER.STEPS is [1, 3]; accepted for LR_POLICY"),
    ([*STEPS, "SOLVER.STEPS", [0, 3, 3], "SOLVER.LRS", [1, 1, 1]], "SOLVER.STEPS is [0, 3, 3]; accepted for"),
    (
        [*STEPS, "SOLVER.STEPS", [0, 50], "SOLVER.LRS", [1, 0.1]],
        "SOLVER.STEPS is [0, 50]; accepted for LR_POLICY steps_with_relative_lrs: epochs that begin with 0, increase "
        "and stay below SOLVER.MAX_EPOCH 50",
    ),
    (
        ["SOLVER.MOMENTUM", 0],
        "SOLVER.NESTEROV is True, SOLVER.MOMENTUM 0.0 and SOLVER.DAMPENING 0.0; Nesterov needs MOMENTUM above 0",
    ),
    (["SOLVER.DAMPENING", 0.1], "SOLVER.NESTEROV is True, SOLVER.MOMENTUM 0.9 and SOLVER.DAMPENING 0.1; Nesterov"),
    # Uniformer
    ([*V1, "UNIFORMER.DEPTH", [3, 4]], "UNIFORMER.DEPTH is [3, 4]; accepted: 4 entries, one for each stage"),
    ([*V1, "UNIFORMER.EMBED_DIM", [64]], "UNIFORMER.EMBED_DIM is [64]; accepted: 4 entries, one for each stage"),
    ([*V1, "MODEL.CHECKPOINT_NUM", [0]], "MODEL.CHECKPOINT_NUM is [0]; accepted: 4 entries, one for each stage"),
    (
        [*V1, "UNIFORMER.HEAD_DIM", 48],
        "UNIFORMER.EMBED_DIM is [64, 128, 320, 512] and UNIFORMER.HEAD_DIM 48; make the channels of stages 3 and 4",
    ),
    ([*V1, "DATA.TRAIN_CROP_SIZE", 200], "DATA.TRAIN_CROP_SIZE is 200; accepted: multiples of 32 px, the stride of"),
    # Numbers for which no memory is enough, which would take minutes to be found out
    (["DATA.NUM_FRAMES", 10**9], "DATA.NUM_FRAMES is 1000000000; accepted: 1 to 10000"),
    (["DATA.TEST_CROP_SIZE", 2**40], "DATA.TEST_CROP_SIZE is 1099511627776; accepted: 1 to 10000"),
    (["TEST.NUM_ENSEMBLE_VIEWS", 10**9], "TEST.NUM_ENSEMBLE_VIEWS is 1000000000; accepted: 1 to 10000"),
    (["MODEL.NUM_CLASSES", 10**9], "MODEL.NUM_CLASSES is 1000000000; accepted: 1 to 1000000"),
    ([*V1, "UNIFORMER.DEPTH", [3, 4, 10**9, 3]], "UNIFORMER.DEPTH is [3, 4, 1000000000, 3]; accepted: each item 1 to"),
    (v2(CUSTOM, LAYERS=10**9), "UNIFORMERV2.LAYERS is 1000000000; accepted: 1 to 1000"),
    # Lightweight UniFormer
    (
        [*LIGHT, "UNIFORMER.SPLIT", True],
        "UNIFORMER.SPLIT is True; Uniformer_light has no divided attention; set it to F",
    ),
    ([*LIGHT, "UNIFORMER.DEPTH", [3, 4]], "UNIFORMER.DEPTH is [3, 4]; accepted: 4 entries, one for each stage"),
    ([*LIGHT, "DATA.TEST_CROP_SIZE", 100], "DATA.TEST_CROP_SIZE is 100; accepted: multiples of 32 px, the stride of"),
    ([*LIGHT, "UNIFORMER.INIT_VALUE", 0], "UNIFORMER.INIT_VALUE is 0.0; accepted: above 0"),
    ([*LIGHT, "UNIFORMER.PRUNE_RATIO", [[]] * 3], "UNIFORMER.PRUNE_RATIO is [[], [], []]; accepted: 4 lists, one for"),
    (
        [*LIGHT, "UNIFORMER.TRADE_OFF", [[1], [], [1] * 8, [1] * 3]],
        "UNIFORMER.TRADE_OFF is [[1.0], [], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]; leave the",
    ),
    (
        [*LIGHT, "UNIFORMER.DEPTH", [3, 5, 9, 3]],
        "UNIFORMER.PRUNE_RATIO is [[], [], [1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5]] and "
        "UNIFORMER.DEPTH [3, 5, 9, 3]; give stages 3 and 4 a number for each of their blocks",
    ),
    (
        [*LIGHT, "UNIFORMER.DEPTH", [1] * 4, "UNIFORMER.PRUNE_RATIO", [[], [], [1], [0]]],
        "UNIFORMER.PRUNE_RATIO is [[], [], [1.0], [0.0]]; accepted: each number in (0, 1]",
    ),
    (
        [*LIGHT, "UNIFORMER.DEPTH", [1] * 4, "UNIFORMER.PRUNE_RATIO", [[], [], [0.5], [0.5]]],
        "UNIFORMER.PRUNE_RATIO is [[], [], [0.5], [0.5]]; make the first number of stage 3 a 1: no token has a score",
    ),
    # UniFormerV2
    (
        ["UNIFORMERV2.BACKBONE", "vit_b32"],
        "UNIFORMERV2.BACKBONE is 'vit_b32'; accepted: uniformerv2_b16, uniformerv2_l14, uniformerv2_l14_336, vit_b16, "
        "vit_l14, vit_l14_336, custom",
    ),
    (v2(CUSTOM, HEADS=5), "UNIFORMERV2.WIDTH is 64 and UNIFORMERV2.HEADS 5; make WIDTH a multiple of HEADS"),
    (v2(CUSTOM, NATIVE_SIZE=30), "UNIFORMERV2.NATIVE_SIZE is 30 and UNIFORMERV2.PATCH_SIZE 8; make NATIVE_SIZE a"),
    (
        [*v2(L14), "DATA.TEST_CROP_SIZE", 13],
        "DATA.TEST_CROP_SIZE is 13 px, no multiple of the patch of 14 px; the nearest multiples: 14 (UNIFORMERV2.BACKB",
    ),
    (
        [*v2(L14), "DATA.TEST_CROP_SIZE", 256],
        "DATA.TEST_CROP_SIZE is 256 px, no multiple of the patch of 14 px; the nearest multiples: 252 and 266 (UNIFORM",
    ),
    (
        [*v2(L14), "DATA.TRAIN_CROP_SIZE", 225],
        "DATA.TRAIN_CROP_SIZE is 225 px, no multiple of the patch of 14 px; the nearest multiples: 224 and 238 (UNIFOR",
    ),
    (
        ["UNIFORMERV2.RETURN_LIST", [10, 11]],
        "UNIFORMERV2.RETURN_LIST is [10, 11] and UNIFORMERV2.N_LAYERS 4; list as many layers as there are global",
    ),
    (
        ["UNIFORMERV2.RETURN_LIST", [8, 9, 9, 10]],
        "UNIFORMERV2.RETURN_LIST is [8, 9, 9, 10]; accepted: layers in strictly increasing order",
    ),
    (
        ["UNIFORMERV2.RETURN_LIST", [9, 10, 11, 12]],
        "UNIFORMERV2.RETURN_LIST is [9, 10, 11, 12]; accepted: 0 to 11, the layers of UNIFORMERV2.BACKBONE uniformerv2",
    ),
    (v2(L14, RETURN_LIST=[-1, 1, 2, 3]), "UNIFORMERV2.RETURN_LIST is [-1, 1, 2, 3]; accepted: 0 to 23, the layers"),
    (v2(CUSTOM, RETURN_LIST=[3, 4]), "UNIFORMERV2.RETURN_LIST is [3, 4]; accepted: 0 to 3, the layers of"),
    (
        ["UNIFORMERV2.MLP_DROPOUT", [0.5]],
        "UNIFORMERV2.MLP_DROPOUT is [0.5] and UNIFORMERV2.N_LAYERS 4; give a rate for each global block",
    ),
    (
        v2(L14, N_DIM=768),
        "UNIFORMERV2.N_DIM is 768 and the width of UNIFORMERV2.BACKBONE uniformerv2_l14 is 1024; set UNIFORMERV2.N_DIM",
    ),
    (["UNIFORMERV2.N_HEAD", 7], "UNIFORMERV2.N_HEAD is 7 and UNIFORMERV2.N_DIM 768; give a number of heads that"),
    (["MODEL.CHECKPOINT_NUM", []], "MODEL.CHECKPOINT_NUM is []; accepted: one entry, the leading blocks to recompute"),
]

ACCEPTED = [
    ["NUM_GPUS", 0, "TRAIN.BATCH_SIZE", 3, "TEST.BATCH_SIZE", 5],
    ["MIXUP.ENABLE", True, "MODEL.LOSS_FUNC", "soft_cross_entropy"],
    ["SOLVER.WARMUP_EPOCHS", 5, "SOLVER.MAX_EPOCH", 5],
    ["SOLVER.COSINE_END_LR", 0.1],
    ["SOLVER.CLIP_GRADIENT", "-1"],
    ["SOLVER.CLIP_GRAD_VAL", 1, "SOLVER.CLIP_GRADIENT", 20],
    ["SOLVER.LAYER_DECAY", 0.75, "SOLVER.BACKBONE_LR_RATIO", 0.1],
    ["MODEL.LABEL_SMOOTHING", 0.1],
    MULTI_LABEL,
    [*MULTI_LABEL, "MODEL.CLASS_WEIGHTS", "balanced"],
    ["MIXUP.ENABLE", True, "MODEL.LOSS_FUNC", "soft_cross_entropy", "MODEL.CLASS_WEIGHTS", "balanced"],
    ["TRAIN.CLASS_SAMPLING", "balanced", "MODEL.CLASS_WEIGHTS", "weights.txt"],
    ["SOLVER.MOMENTUM", 0, "SOLVER.NESTEROV", False],
    ["SOLVER.MOMENTUM", 0, "SOLVER.OPTIMIZING_METHOD", "adamw"],
    [*STEPS, "SOLVER.STEPS", [0, 30], "SOLVER.LRS", [1, 0.1]],
    ["SOLVER.STEPS", [9, 3]],
    ["AUG.AA_TYPE", ""],
    ["AUG.AA_TYPE", "rand-m5-n2-mstd0.25"],
    [
        *("DATA.TRAIN_CROP_SIZE", 336, "DATA.TEST_CROP_SIZE", 224),
        *("DATA.TRAIN_JITTER_SCALES_RELATIVE", [0.08, 1], "DATA.TRAIN_JITTER_ASPECT_RELATIVE", [0.75, 1.3333]),
    ],
    ["TEST.NUM_SPATIAL_CROPS", 1],
    ["MODEL.CHECKPOINT_NUM", [12]],
    v2(L14),
    v2(L14, BACKBONE="vit_l14"),
    v2(CUSTOM),
    v2(CUSTOM, MLP_DROPOUT=[0.0] * 9),
    # More numbers than blocks, as the published files of UniFormer-XXS have; text, as on the command line.
    [*LIGHT, "UNIFORMER.DEPTH", [2, 5, 8, 2]],
    [*LIGHT, "UNIFORMER.DEPTH", [1] * 4, "UNIFORMER.PRUNE_RATIO", "[[], [], [1], [0.5]]"],
    # Keys of the family that is not in use are left alone.
    ["UNIFORMER.DEPTH", [3]],
    [*V1, "UNIFORMERV2.N_DIM", 5, "UNIFORMERV2.BACKBONE", "vit_b32", "UNIFORMERV2.CLS_DROPOUT", 3],
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=[message[:60] for _, message in REFUSED])
def test_rule_refuses(overrides, message):
    with pytest.raises(UserError) as error:
        load_config(None, overrides)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("overrides", ACCEPTED, ids=str)
def test_rule_accepts(overrides):
    load_config(None, overrides)


FEW_NAMES = {key: names for key, names in REGISTERED.items() if 0 < len(names) < MANY_NAMES}
ALL_CHOICES = {**CHOICES, **FEW_NAMES}
for section in SECTIONS.values():
    ALL_CHOICES |= section.choices


@pytest.mark.parametrize("key", ALL_CHOICES)
def test_choice_names_what_is_accepted(key):
    is_list = isinstance(dict(flatten(get_cfg()))[key], list)
    other = 2 if key == "TEST.NUM_SPATIAL_CROPS" else ["other"] if is_list else "other"
    with pytest.raises(UserError) as error:
        load_config(None, [key, other])
    accepted = ", ".join(str(choice) or "''" for choice in ALL_CHOICES[key])
    remedy = "; a name of code from outside needs --plugins FILE.py" if key in REGISTERED else ""
    each = "each item one of " if is_list else ""
    assert str(error.value) == f"{key} is {other!r}; accepted: {each}{accepted}{remedy}"


@pytest.mark.parametrize("key", RANGES | SECTIONS["UNIFORMER"].ranges | SECTIONS["UNIFORMERV2"].ranges)
def test_range_refuses_what_is_below(key):
    family = V1 if key in SECTIONS["UNIFORMER"].ranges else []
    default = dict(flatten(get_cfg()))[key]
    value = [-2] * 4 if isinstance(default, list) else -2
    with pytest.raises(UserError) as error:
        load_config(None, [*family, key, value])
    assert str(error.value).startswith(f"{key} is [-2" if isinstance(default, list) else f"{key} is -2")
    assert "; accepted: " in str(error.value)


@pytest.mark.parametrize("key", ["MIXUP.PROB", "MIXUP.LABEL_SMOOTH_VALUE", "UNIFORMERV2.CLS_DROPOUT", "AUG.RE_PROB"])
def test_probabilities_and_rates_have_an_upper_bound(key):
    with pytest.raises(UserError, match=rf"^{key} is 1\.5; accepted: in \[0, 1[\])]$"):
        load_config(None, [key, 1.5])
