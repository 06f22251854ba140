"""The config of a tiny data set on the CPU."""

from pathlib import Path

from fvcore.common.config import CfgNode

from slowfast.config import load_config


def tiny_config(folder: Path, *overrides: object) -> CfgNode:
    """Two frames of 16 pixels of the videos and lists in a folder, read in this process; and overrides."""
    return load_config(
        None,
        [
            *("NUM_GPUS", 0, "DATA_LOADER.NUM_WORKERS", 0, "DATA.NUM_FRAMES", 2),
            *("TRAIN.DATASET", "kinetics_sparse", "TEST.DATASET", "kinetics_sparse"),
            *("DATA.PATH_TO_DATA_DIR", folder, "DATA.PATH_PREFIX", folder, "DATA.PATH_LABEL_SEPARATOR", ","),
            *("DATA.TRAIN_CROP_SIZE", 16, "DATA.TEST_CROP_SIZE", 16, "DATA.TRAIN_JITTER_SCALES", [16, 24]),
            *overrides,
        ],
    )
