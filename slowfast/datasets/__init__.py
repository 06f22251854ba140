"""List files to batches of clips."""

from slowfast.datasets.build import (
    build_class_names,
    build_dataset,
    build_eval_dataset,
    build_list,
    build_loader,
    build_train_dataset,
)
from slowfast.datasets.reading.source import FrameSource, VideoReadError
from slowfast.datasets.reading.video_reader import VideoReader

__all__ = [
    "FrameSource",
    "VideoReadError",
    "VideoReader",
    "build_class_names",
    "build_dataset",
    "build_eval_dataset",
    "build_list",
    "build_loader",
    "build_train_dataset",
]
