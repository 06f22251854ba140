"""The data sets by name: a list parser, a kind of frame source and a way of sampling each."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from fvcore.common.config import CfgNode

from slowfast.config.choices import ChoiceRegistry
from slowfast.datasets.labels import label_list_path, load_class_names
from slowfast.datasets.lists.annotations import load_list
from slowfast.datasets.lists.class_folders import list_class_folders, load_class_folders
from slowfast.datasets.lists.line_forms import FRAME_FOLDER, PATH_LABEL, PATH_LABELS, TIME_SPAN, ListForm
from slowfast.datasets.lists.list_names import (
    TEST_IS_VAL,
    TEST_OR_VAL,
    VAL_IF_NO_TEST,
    Split,
    find_list,
    first_that_exists,
)
from slowfast.datasets.lists.record_table import RecordTable
from slowfast.datasets.lists.something_something import load_official_list
from slowfast.datasets.lists.video_list import VideoList
from slowfast.datasets.reading.backends import video_reader
from slowfast.datasets.reading.frame_rate import ResampledReader
from slowfast.datasets.reading.frame_reader import FrameFolderReader, why_misnumbered
from slowfast.datasets.reading.source import SourceOpener
from slowfast.datasets.records import VideoRecord
from slowfast.datasets.sampling import FrameSampler, dense_indices, sparse_indices
from slowfast.errors import UserError
from slowfast.runtime.files import why_no_folder

logger = logging.getLogger(__name__)

DATASET_REGISTRY = ChoiceRegistry("DATASET", "TRAIN.DATASET", "TEST.DATASET")
DATASET_REGISTRY.__doc__ = """
Data sets by name; case does not matter. A registered object is a ``DatasetEntry``:
``DATASET_REGISTRY.register(DatasetEntry(load_records=...), name="drones")``.
"""


def build_sparse_sampler(cfg: CfgNode) -> FrameSampler:
    """Takes one frame from each of ``DATA.NUM_FRAMES`` segments of a video."""
    return partial(sparse_indices, clip_len=cfg.DATA.NUM_FRAMES)


def build_dense_sampler(cfg: CfgNode) -> FrameSampler:
    """Takes ``DATA.NUM_FRAMES`` frames that are ``DATA.SAMPLING_RATE`` apart."""
    return partial(
        dense_indices,
        clip_len=cfg.DATA.NUM_FRAMES,
        stride=cfg.DATA.SAMPLING_RATE,
        has_offset_views=cfg.DATA.USE_OFFSET_SAMPLING,
    )


def build_file_opener(cfg: CfgNode) -> SourceOpener:
    """Opens files, by ``DATA.DECODING_BACKEND``, ``APPLY_ROTATION``, ``ALLOW_DAMAGED_FRAMES``, ``ALLOW_STREAMS``."""
    reader = video_reader(cfg.DATA.DECODING_BACKEND)
    options = {"allow_damaged": cfg.DATA.ALLOW_DAMAGED_FRAMES, "allow_streams": cfg.DATA.ALLOW_STREAMS}
    options = {name: is_allowed for name, is_allowed in options.items() if is_allowed}
    if not cfg.DATA.APPLY_ROTATION:
        options["apply_rotation"] = False
    return partial(reader, **options) if options else reader


def build_resampled_opener(cfg: CfgNode) -> SourceOpener:
    """Opens video files as if their frames had been extracted at ``DATA.STH_VIDEO_FPS``; 0: their own frames."""
    open_file = build_file_opener(cfg)
    fps = cfg.DATA.STH_VIDEO_FPS
    return partial(ResampledReader, open_file=open_file, fps=fps) if fps else open_file


def build_folder_opener(cfg: CfgNode) -> SourceOpener:
    """Opens folders of images, whose records tell the number of frames."""
    return partial(
        FrameFolderReader,
        image_template=cfg.DATA.IMAGE_TEMPLATE,
        image_start=cfg.DATA.IMAGE_START,
        apply_rotation=cfg.DATA.APPLY_ROTATION,
    )


@dataclass(frozen=True)
class DatasetEntry:
    """What makes a data set.

    Attributes:
        load_records: (cfg, split) to the records of the split's list, with labels in [0, MODEL.NUM_CLASSES).
        build_sampler: cfg to what chooses the frames of a clip.
        build_opener: cfg to what opens a video: any ``FrameSource``.
        build_video_opener: cfg to what opens a video file where lists name folders of its frames: it reads the frames
            that the folder would hold. None where lists name files.
        has_plain_lists: a line is a path and a label, in whose place a multi-label run has several.
        can_flip: a video flipped left to right still shows its class.
        load_class_names: cfg to class names where no file gives them; None where only a file can.
        video_s: how long its videos are, usually; None if that is not known, or differs widely.
        published_order: DATA.CHANNEL_ORDER of the weights that the authors publish for it; "" if that is not known.
    """

    load_records: Callable[[CfgNode, Split], Sequence[VideoRecord]]
    build_sampler: Callable[[CfgNode], FrameSampler] = build_sparse_sampler
    build_opener: Callable[[CfgNode], SourceOpener] = build_file_opener
    build_video_opener: Callable[[CfgNode], SourceOpener] | None = None
    has_plain_lists: bool = False
    can_flip: bool = True
    load_class_names: Callable[[CfgNode], list[str]] | None = None
    video_s: float | None = None
    published_order: str = ""

    @property
    def reads_folders(self) -> bool:
        """Whether a video is a folder of frames."""
        return self.build_opener is build_folder_opener

    def build_split(self, cfg: CfgNode, split: Split) -> VideoList:
        """Read the list of a split.

        Raises:
            UserError: for a bad list (file:line), a label or number of class names that MODEL.NUM_CLASSES excludes, or
                a first folder of frames whose files have other numbers than DATA.IMAGE_START.
        """
        records = self.load_records(cfg, split)
        _check_labels(records, split, cfg.MODEL.NUM_CLASSES)
        if self.reads_folders:
            _check_numbering(cfg, records[0].path)
        return replace(self.build_list_of(cfg, records), class_names=self.build_names(cfg))

    def build_list_of(self, cfg: CfgNode, records: Sequence[VideoRecord]) -> VideoList:
        """Videos from elsewhere, of no known classes, opened and sampled as those of this data set."""
        return VideoList(
            records=records,
            open_source=self.build_opener(cfg),
            sampler=self.build_sampler(cfg),
            may_flip=self.can_flip or cfg.DATA.ALLOW_LABEL_CHANGING_FLIP,
        )

    def build_list_of_files(self, cfg: CfgNode, records: Sequence[VideoRecord]) -> VideoList:
        """``build_list_of`` video files, also where the data set's own lists name folders of frames."""
        videos = self.build_list_of(cfg, records)
        return replace(videos, open_source=self.build_video_opener(cfg)) if self.build_video_opener else videos

    def build_names(self, cfg: CfgNode) -> list[str] | None:
        """Class names in label order, from ``DATA.CLASS_NAMES_FILE`` or else the data set, if it knows them.

        Raises:
            UserError: for a bad file.
        """
        if cfg.DATA.CLASS_NAMES_FILE:
            return load_class_names(label_list_path(cfg.DATA.CLASS_NAMES_FILE), cfg.MODEL.NUM_CLASSES)
        names = self.load_class_names(cfg) if self.load_class_names else None
        if names is not None and len(names) != cfg.MODEL.NUM_CLASSES:
            raise UserError(
                f"the data set names {len(names)} classes, but MODEL.NUM_CLASSES is {cfg.MODEL.NUM_CLASSES}"
            )
        return names


def _check_numbering(cfg: CfgNode, folder: str) -> None:
    """Tell at once what each folder would be refused for."""
    if cause := why_misnumbered(folder, cfg.DATA.IMAGE_TEMPLATE, cfg.DATA.IMAGE_START):
        raise UserError(f"{folder}: {cause}")


def _check_labels(records: Sequence[VideoRecord], split: Split, num_classes: int) -> None:
    """Refuse what a reader of lists from outside lets through: such a label counts as a wrong prediction in a test."""
    if isinstance(records, RecordTable):  # a million labels at once
        wrong = np.flatnonzero((records.labels < 0) | (records.labels >= num_classes))[:1]
        records = [records[records.row_of_label(idx)] for idx in wrong]
    for record in records:
        labels = record.label if isinstance(record.label, tuple) else (record.label,)
        for label in labels:
            if not 0 <= label < num_classes:
                told = f"{split} list: {record.path} has label {label}; accepted: 0 to {num_classes - 1}"
                raise UserError(f"{told}, as MODEL.NUM_CLASSES is {num_classes}")


def _load_list_file(
    cfg: CfgNode,
    split: Split,
    *,
    form: ListForm = PATH_LABEL,
    template: str = "{}.csv",
    names: dict[Split, tuple[str, ...]] = VAL_IF_NO_TEST,
    separator: str = "",
) -> RecordTable:
    """Read the list of a split.

    Args:
        cfg: DATA.* and MODEL.NUM_CLASSES are read.
        split: whose list.
        form: of its lines; in place of PATH_LABEL a multi-label run takes PATH_LABELS.
        template: of its file name; "" for DATA.LABEL_PATH_TEMPLATE.
        names: what the template takes, in any of its SPELLINGS.
        separator: the data set's own; "" for DATA.PATH_LABEL_SEPARATOR.

    Raises:
        UserError: for a bad list (file:line), or two of one split that differ.
    """
    template = template or cfg.DATA.LABEL_PATH_TEMPLATE
    if cfg.DATA.MULTI_LABEL and form is PATH_LABEL:
        form = PATH_LABELS
    return load_list(
        first_that_exists([find_list(cfg.DATA.PATH_TO_DATA_DIR, template, name) for name in names[split]], split),
        form,
        separator=separator or cfg.DATA.PATH_LABEL_SEPARATOR,
        num_classes=cfg.MODEL.NUM_CLASSES,
        prefix=cfg.DATA.PATH_PREFIX,
        is_fixed_separator=bool(separator),
    )


def _load_something_something_json(cfg: CfgNode, split: Split) -> RecordTable:
    return load_official_list(
        Path(cfg.DATA.PATH_TO_DATA_DIR),
        "train" if split == "train" else "validation",
        num_classes=cfg.MODEL.NUM_CLASSES,
        prefix=cfg.DATA.PATH_PREFIX,
    )


def _load_folder(cfg: CfgNode, split: Split) -> RecordTable:
    root = Path(cfg.DATA.PATH_TO_DATA_DIR)
    if cause := why_no_folder(root) if cfg.DATA.PATH_TO_DATA_DIR else "is no folder":
        raise UserError(
            f"DATA.PATH_TO_DATA_DIR {str(cfg.DATA.PATH_TO_DATA_DIR)!r}: {cause}; expected one with the folders "
            f"train, val and test, with a folder of videos per class in each"
        )
    folder = first_that_exists([root / name for name in VAL_IF_NO_TEST[split]], split)
    return load_class_folders(
        root, folder.name, class_names=_load_folder_classes(cfg), num_classes=cfg.MODEL.NUM_CLASSES
    )


def _load_folder_classes(cfg: CfgNode) -> list[str]:
    """Class names of a folder of class folders: those of DATA.CLASS_NAMES_FILE, else the training folders' names."""
    if cfg.DATA.CLASS_NAMES_FILE:
        return load_class_names(label_list_path(cfg.DATA.CLASS_NAMES_FILE), cfg.MODEL.NUM_CLASSES)
    return list_class_folders(Path(cfg.DATA.PATH_TO_DATA_DIR, "train"))


_frame_folders = partial(_load_list_file, form=FRAME_FOLDER, template="")
_untrimmed = partial(_load_list_file, form=TIME_SPAN)
_two_lists = partial(_load_list_file, names=TEST_OR_VAL)

_ENTRIES = {
    "kinetics": DatasetEntry(_load_list_file, build_dense_sampler, has_plain_lists=True, video_s=10.0),
    "kinetics_sparse": DatasetEntry(_load_list_file, has_plain_lists=True, video_s=10.0),
    "mit": DatasetEntry(_load_list_file, has_plain_lists=True, video_s=3.0),
    "sth": DatasetEntry(
        partial(_frame_folders, names=TEST_IS_VAL, separator=" "),
        build_opener=build_folder_opener,
        build_video_opener=build_resampled_opener,
        can_flip=False,
        video_s=4.0,
        published_order="bgr",
    ),
    "sth_video": DatasetEntry(
        _load_something_something_json,
        build_opener=build_resampled_opener,
        can_flip=False,
        video_s=4.0,
        published_order="bgr",
    ),
    "anet": DatasetEntry(_untrimmed),
    "hacs": DatasetEntry(_untrimmed),
    "ucf101": DatasetEntry(
        partial(_frame_folders, names=TEST_OR_VAL), build_dense_sampler, build_folder_opener, build_file_opener
    ),
    "ucf101_video": DatasetEntry(_two_lists, build_dense_sampler, has_plain_lists=True),
    "hmdb": DatasetEntry(
        partial(_frame_folders, names=TEST_OR_VAL, separator=" "),
        build_dense_sampler,
        build_folder_opener,
        build_file_opener,
        published_order="bgr",
    ),
    "hmdb_video": DatasetEntry(_two_lists, build_dense_sampler, has_plain_lists=True, published_order="bgr"),
    "folder": DatasetEntry(_load_folder, load_class_names=_load_folder_classes),
}
for _name, _entry in _ENTRIES.items():
    DATASET_REGISTRY.register(_entry, name=_name)
