"""The data sets by name: a list parser, a reader and a way of sampling each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from fvcore.common.config import CfgNode

from slowfast.datasets.annotations import load_path_label_list
from slowfast.datasets.records import VideoRecord
from slowfast.datasets.sampling import FrameSampler, dense_indices, sparse_indices
from slowfast.datasets.video_reader import VideoReader
from slowfast.runtime.errors import UserError

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class DatasetEntry:
    """What makes a data set.

    Attributes:
        load_records: (cfg, split) to the records of the split's list.
        reader: opens a record's path.
        sampling: "dense" (frames DATA.SAMPLING_RATE apart) or "sparse" (one frame from each of T segments).
    """

    load_records: Callable[[CfgNode, Split], list[VideoRecord]]
    reader: Callable[[str], VideoReader]
    sampling: Literal["dense", "sparse"]


def _load_kinetics(cfg: CfgNode, split: Split) -> list[VideoRecord]:
    return load_path_label_list(
        Path(cfg.DATA.PATH_TO_DATA_DIR, f"{split}.csv"),
        separator=cfg.DATA.PATH_LABEL_SEPARATOR,
        num_classes=cfg.MODEL.NUM_CLASSES,
        prefix=cfg.DATA.PATH_PREFIX,
    )


DATASETS = {
    "kinetics": DatasetEntry(_load_kinetics, VideoReader, "dense"),
    "kinetics_sparse": DatasetEntry(_load_kinetics, VideoReader, "sparse"),
}


def dataset_entry(key: str, name: str) -> DatasetEntry:
    """Look up a data set.

    Args:
        key: the config key that names it, for the error.
        name: its name.

    Raises:
        UserError: if there is no such data set.
    """
    if name not in DATASETS:
        raise UserError(f"{key} {name!r} is not a data set; accepted: {', '.join(DATASETS)}")
    return DATASETS[name]


def build_sampler(cfg: CfgNode, sampling: Literal["dense", "sparse"]) -> FrameSampler:
    """The frame sampler of a data set, for clips of ``DATA.NUM_FRAMES`` frames."""
    if sampling == "sparse":
        return partial(sparse_indices, clip_len=cfg.DATA.NUM_FRAMES)
    return partial(
        dense_indices,
        clip_len=cfg.DATA.NUM_FRAMES,
        stride=cfg.DATA.SAMPLING_RATE,
        has_offset_views=cfg.DATA.USE_OFFSET_SAMPLING,
    )
