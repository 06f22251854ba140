"""List files to batches of clips."""

from slowfast.datasets.build import build_class_names, build_dataset, build_eval_dataset, build_loader
from slowfast.datasets.reading.video_reader import VideoReader, VideoReadError

__all__ = ["VideoReadError", "VideoReader", "build_class_names", "build_dataset", "build_eval_dataset", "build_loader"]
