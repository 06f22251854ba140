"""What each key may be by itself: one of a few names, or a number in a range; ``choices.py`` has registered names."""

from collections.abc import Callable
from typing import NamedTuple

CHOICES = {
    "AUG.INTERPOLATION": ("bicubic", "bilinear", "random"),
    "AUG.RE_MODE": ("const", "rand", "pixel"),
    "BN.NORM_TYPE": ("batchnorm", "sync_batchnorm"),
    "DATA.CHANNEL_ORDER": ("rgb", "bgr"),
    "DATA.DECODING_BACKEND": ("pyav", "decord", "torchcodec"),
    "DATA.ENSEMBLE_METHOD": ("sum", "max"),
    "SOLVER.LR_POLICY": ("cosine", "steps_with_relative_lrs"),
    "TEST.NUM_SPATIAL_CROPS": (1, 3),
    "TEST.PROBES": ("all", "shuffled", "reversed", "frozen", "half_rate"),
    "TEST.SCORES": ("csv", "npz", "none"),
    "TRAIN.CLASS_SAMPLING": ("uniform", "balanced"),
    "TRAIN.LOGGERS": ("tensorboard", "wandb", "mlflow"),
    "TRAIN.MIXED_PRECISION_DTYPE": ("auto", "bf16", "fp16"),
}


class Range(NamedTuple):
    """Numbers that a key, or each item of a list, may be."""

    accepts: Callable[[float], bool]
    phrase: str


def at_least(low: int) -> Range:
    """Numbers from ``low`` on."""
    return Range(lambda value: value >= low, f"at least {low}")


def within(low: int, high: int) -> Range:
    """Numbers from ``low`` to ``high``; beyond it a computer would compute for minutes before it has no memory left."""
    return Range(lambda value: low <= value <= high, f"{low} to {high}")


ABOVE_ZERO = Range(lambda value: value > 0, "above 0")
PROBABILITY = Range(lambda value: 0 <= value <= 1, "in [0, 1]")
FRACTION = Range(lambda value: 0 < value <= 1, "in (0, 1]")
RATE = Range(lambda value: 0 <= value < 1, "in [0, 1)")
SEED = Range(lambda value: 0 <= value < 2**32, "in [0, 2^32)")

RANGES = {
    "NUM_GPUS": at_least(0),
    "NUM_SHARDS": at_least(1),
    "PEER_TIMEOUT_S": at_least(1),
    "STOP_TIMEOUT_S": at_least(0),
    "RNG_SEED": SEED,
    "LOG_PERIOD": at_least(1),
    "TRAIN.BATCH_SIZE": at_least(1),
    "TRAIN.EVAL_PERIOD": at_least(1),
    "TRAIN.CHECKPOINT_PERIOD": at_least(1),
    "TRAIN.CHECKPOINT_SECONDS": at_least(0),
    "TRAIN.NUM_CHECKPOINTS_KEPT": at_least(0),
    "TEST.BATCH_SIZE": at_least(1),
    "TEST.NUM_ENSEMBLE_VIEWS": within(1, 10_000),
    "DATA.STH_VIDEO_FPS": at_least(0),
    "DATA.IMAGE_START": at_least(0),
    "DATA.NUM_FRAMES": within(1, 10_000),
    "DATA.SAMPLING_RATE": within(1, 10_000),
    "DATA.STD": ABOVE_ZERO,
    "DATA.TRAIN_CROP_SIZE": within(1, 10_000),
    "DATA.TEST_CROP_SIZE": within(1, 10_000),
    "DATA.TRAIN_JITTER_SCALES": at_least(1),
    "DATA.TRAIN_JITTER_SCALES_RELATIVE": FRACTION,
    "DATA.TRAIN_JITTER_ASPECT_RELATIVE": ABOVE_ZERO,
    "DATA_LOADER.NUM_WORKERS": at_least(0),
    "DATA_LOADER.MAX_REPLACED": PROBABILITY,
    "DATA_LOADER.VIDEO_TIMEOUT_S": ABOVE_ZERO,
    "DATA_LOADER.BATCH_TIMEOUT_S": ABOVE_ZERO,
    "AUG.NUM_SAMPLE": at_least(1),
    "AUG.COLOR_JITTER": at_least(0),
    "AUG.RE_PROB": PROBABILITY,
    "AUG.RE_COUNT": at_least(1),
    "MIXUP.ALPHA": at_least(0),
    "MIXUP.CUTMIX_ALPHA": at_least(0),
    "MIXUP.PROB": PROBABILITY,
    "MIXUP.SWITCH_PROB": PROBABILITY,
    "MIXUP.LABEL_SMOOTH_VALUE": RATE,
    "MODEL.NUM_CLASSES": within(1, 1_000_000),
    "MODEL.LABEL_SMOOTHING": RATE,
    "MODEL.CHECKPOINT_NUM": at_least(0),
    "MODEL.EMA_DECAY": RATE,
    "MODEL.EMA_EPOCH": at_least(-1),
    "BN.WEIGHT_DECAY": at_least(0),
    "BN.NUM_BATCHES_PRECISE": at_least(1),
    "SOLVER.ACCUM_STEPS": at_least(1),
    "SOLVER.BASE_LR": at_least(0),
    "SOLVER.BACKBONE_LR_RATIO": at_least(0),
    "SOLVER.LAYER_DECAY": FRACTION,
    "SOLVER.COSINE_END_LR": at_least(0),
    "SOLVER.LRS": at_least(0),
    "SOLVER.STEPS": at_least(0),
    "SOLVER.MAX_EPOCH": at_least(1),
    "SOLVER.PATIENCE": at_least(0),
    "SOLVER.WARMUP_EPOCHS": at_least(0),
    "SOLVER.WARMUP_START_LR": at_least(0),
    "SOLVER.MOMENTUM": RATE,
    "SOLVER.WEIGHT_DECAY": at_least(0),
    "SOLVER.CLIP_GRAD_VAL": at_least(0),
}
