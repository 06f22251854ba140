"""From a config to data sets and loaders."""

from collections.abc import Sequence
from functools import partial

from fvcore.common.config import CfgNode
from torch.utils.data import DataLoader

from slowfast.datasets.balanced_order import BalancedOrder
from slowfast.datasets.catalog import DATASET_REGISTRY, DatasetEntry
from slowfast.datasets.class_counts import class_labels
from slowfast.datasets.clip_dataset import EvalClipDataset, TrainClipDataset
from slowfast.datasets.clip_loader import Workers, clip_loader
from slowfast.datasets.collate import collate
from slowfast.datasets.epoch_sampler import EpochSampler
from slowfast.datasets.lists.list_names import Split
from slowfast.datasets.lists.video_list import VideoList
from slowfast.datasets.records import VideoRecord
from slowfast.datasets.transforms.pipeline import EvalTransform, TrainTransform
from slowfast.datasets.transforms.random_erasing import RandomErasing
from slowfast.errors import UserError
from slowfast.runtime import distributed


def build_list(cfg: CfgNode, split: Split) -> VideoList:
    """Read the list of a split of the config's data set.

    Raises:
        UserError: for an unknown data set, a bad list (file:line), or several labels per video where there is one.
    """
    entry = _entry_of(cfg, is_test=split == "test")
    _check_multi_label(cfg, entry, split)
    return entry.build_split(cfg, split)


def build_dataset(cfg: CfgNode, split: Split) -> TrainClipDataset | EvalClipDataset:
    """Read the list of a split and build its data set.

    Training draws ``AUG.NUM_SAMPLE`` clips per video (one without ``AUG.ENABLE``). Validation takes one central view.
    Testing takes ``TEST.NUM_ENSEMBLE_VIEWS`` temporal times ``TEST.NUM_SPATIAL_CROPS`` spatial views (1: the centre).

    Raises:
        UserError: for an unknown data set or a bad list (file:line).
    """
    videos = build_list(cfg, split)
    if split != "train":
        return build_eval_lists(cfg, [videos], is_test=split == "test")
    _check_flip(cfg, videos)
    return build_train_dataset(cfg, [videos])


def build_train_dataset(cfg: CfgNode, lists: Sequence[VideoList]) -> TrainClipDataset:
    """A training set of one or several lists; videos of a list that may not flip are never flipped.

    Raises:
        UserError: if the lists differ in their classes.
    """
    return TrainClipDataset(
        lists,
        transform=TrainTransform.from_config(cfg),
        seed=cfg.RNG_SEED,
        erasing=RandomErasing.from_config(cfg),
        num_repeats=cfg.AUG.NUM_SAMPLE if cfg.AUG.ENABLE else 1,
        timeout_s=cfg.DATA_LOADER.VIDEO_TIMEOUT_S,
        channel_order=cfg.DATA.CHANNEL_ORDER,
    )


def build_eval_dataset(cfg: CfgNode, records: Sequence[VideoRecord]) -> EvalClipDataset:
    """All test views of videos that no list names; they are read and sampled as those of ``TEST.DATASET``.

    Args:
        cfg: the views are those of a test.
        records: paths, and for folders of frames their number; labels only come back in the samples.

    Raises:
        UserError: for an unknown data set.
    """
    return build_eval_lists(cfg, [_entry_of(cfg, is_test=True).build_list_of(cfg, records)], is_test=True)


def build_file_list(cfg: CfgNode, records: Sequence[VideoRecord]) -> VideoList:
    """Video files that no list names; they are read and sampled as those of ``TEST.DATASET``.

    Raises:
        UserError: for an unknown data set.
    """
    return _entry_of(cfg, is_test=True).build_list_of_files(cfg, records)


def build_eval_lists(cfg: CfgNode, lists: Sequence[VideoList], *, is_test: bool = True) -> EvalClipDataset:
    """All views of a test, or the central one."""
    return EvalClipDataset(
        lists,
        transform=EvalTransform(
            size=cfg.DATA.TEST_CROP_SIZE,
            spatial_idxs=(0, 1, 2) if is_test and cfg.TEST.NUM_SPATIAL_CROPS == 3 else (1,),
        ),
        num_temporal_views=cfg.TEST.NUM_ENSEMBLE_VIEWS if is_test else 1,
        timeout_s=cfg.DATA_LOADER.VIDEO_TIMEOUT_S,
        channel_order=cfg.DATA.CHANNEL_ORDER,
    )


def _entry_of(cfg: CfgNode, *, is_test: bool) -> DatasetEntry:
    if is_test:
        return DATASET_REGISTRY.find("TEST.DATASET", cfg.TEST.DATASET)
    return DATASET_REGISTRY.find("TRAIN.DATASET", cfg.TRAIN.DATASET)


def build_class_names(cfg: CfgNode) -> list[str] | None:
    """Class names in the order of the labels, from ``DATA.CLASS_NAMES_FILE`` or else the data set, if it knows them."""
    return _entry_of(cfg, is_test=not cfg.TRAIN.ENABLE).build_names(cfg)


def videos_per_batch(cfg: CfgNode, dataset: TrainClipDataset | EvalClipDataset) -> int:
    """Videos per batch on this process.

    ``TRAIN.BATCH_SIZE`` counts videos on a node, ``TEST.BATCH_SIZE`` views on a node; both are split over the node's
    processes. All views of a video stay together.
    """
    is_train = isinstance(dataset, TrainClipDataset)
    key, per_node = ("TRAIN.BATCH_SIZE", cfg.TRAIN.BATCH_SIZE) if is_train else ("TEST.BATCH_SIZE", cfg.TEST.BATCH_SIZE)
    num_processes = distributed.processes_per_node(cfg.NUM_GPUS)
    if per_node % num_processes:
        raise UserError(f"{key} {per_node} is not divisible by the {num_processes} processes of a node")
    per_process = per_node // num_processes
    return per_process if is_train else max(per_process // dataset.num_views, 1)


def _build_balance(cfg: CfgNode, dataset: TrainClipDataset) -> BalancedOrder | None:
    if cfg.TRAIN.CLASS_SAMPLING == "uniform":
        return None
    return BalancedOrder(class_labels(dataset.records), seed=cfg.RNG_SEED)


def build_loader(cfg: CfgNode, dataset: TrainClipDataset | EvalClipDataset) -> DataLoader:
    """A loader of this process's share, batches as ``slowfast.datasets.records.Batch``.

    Raises:
        UserError: if the training list does not fill one batch.
    """
    is_train = isinstance(dataset, TrainClipDataset)
    batch_size = videos_per_batch(cfg, dataset)
    sampler = EpochSampler(
        len(dataset),
        rank=distributed.rank(),
        world_size=distributed.world_size(),
        step_size=batch_size * cfg.SOLVER.ACCUM_STEPS if is_train else batch_size,
        is_train=is_train,
        seed=cfg.RNG_SEED,
        balance=_build_balance(cfg, dataset) if is_train else None,
    )
    if is_train and len(sampler) == 0:
        raise UserError(
            f"the training list has {len(dataset)} videos, fewer than one step of {sampler.videos_per_step}; lower "
            f"TRAIN.BATCH_SIZE{' or SOLVER.ACCUM_STEPS' if cfg.SOLVER.ACCUM_STEPS > 1 else ''}"
        )
    return clip_loader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        workers=Workers.from_config(cfg),
        collate_fn=partial(
            collate,
            has_label_per_view=is_train,
            num_classes=cfg.MODEL.NUM_CLASSES if cfg.DATA.MULTI_LABEL else None,
        ),
        pin_memory=cfg.DATA_LOADER.PIN_MEMORY and cfg.NUM_GPUS > 0,
        keeps_workers=is_train,
        batch_bytes=batch_size * _bytes_per_video(cfg, dataset),
    )


def _bytes_per_video(cfg: CfgNode, dataset: TrainClipDataset | EvalClipDataset) -> int:
    """Of the uint8 clips that a video becomes."""
    is_train = isinstance(dataset, TrainClipDataset)
    num_clips = dataset.num_repeats if is_train else dataset.num_views
    size_px = cfg.DATA.TRAIN_CROP_SIZE if is_train else cfg.DATA.TEST_CROP_SIZE
    return num_clips * 3 * cfg.DATA.NUM_FRAMES * size_px**2


def _check_multi_label(cfg: CfgNode, entry: DatasetEntry, split: Split) -> None:
    """Refuse several labels per video where the annotations have room for one.

    Raises:
        UserError: for ``DATA.MULTI_LABEL`` and a data set without lists of path and label.
    """
    if cfg.DATA.MULTI_LABEL and not entry.has_plain_lists:
        key, name = ("TEST", cfg.TEST.DATASET) if split == "test" else ("TRAIN", cfg.TRAIN.DATASET)
        able = ", ".join(name for name, other in DATASET_REGISTRY if other.has_plain_lists)
        raise UserError(
            f"DATA.MULTI_LABEL is True, but {key}.DATASET {name} has one label per video; accepted: {able}, or set "
            f"DATA.MULTI_LABEL to False"
        )


def _check_flip(cfg: CfgNode, videos: VideoList) -> None:
    """Refuse to train with horizontal flips on classes that tell left from right.

    Raises:
        UserError: for ``DATA.RANDOM_FLIP`` without ``DATA.ALLOW_LABEL_CHANGING_FLIP``.
    """
    if cfg.DATA.RANDOM_FLIP and not videos.may_flip:
        raise UserError(
            f"DATA.RANDOM_FLIP is True, but a flip changes the class of videos of {cfg.TRAIN.DATASET} ('pushing "
            f"something from left to right'); set DATA.RANDOM_FLIP False, or DATA.ALLOW_LABEL_CHANGING_FLIP True to "
            f"flip all the same"
        )
