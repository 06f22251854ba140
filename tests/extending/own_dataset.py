"""A data set whose videos are NumPy files: train.json, val.json and test.json are {"a.npy": 0, "b.npy": 1}."""

import json
from pathlib import Path

import numpy as np

from slowfast.datasets.catalog import DATASET_REGISTRY, DatasetEntry
from slowfast.datasets.reading.source import FrameSource, VideoReadError
from slowfast.datasets.records import VideoRecord


class ArraySource(FrameSource):
    def __init__(self, path):
        try:
            self._frames = np.load(path, mmap_mode="r")  # uint8 (T, H, W, 3)
        except (OSError, ValueError) as error:
            raise VideoReadError(str(error)) from None
        self.path, self.num_frames = path, len(self._frames)

    def _read_frames(self, wanted):
        return {idx: self._frames[idx] for idx in wanted}


def load_records(cfg, split):
    folder = Path(cfg.DATA.PATH_TO_DATA_DIR)
    labels = json.loads((folder / f"{split}.json").read_text())
    return [VideoRecord(str(folder / name), label) for name, label in labels.items()]


# TRAIN.DATASET arrays, TEST.DATASET arrays
DATASET_REGISTRY.register(DatasetEntry(load_records, build_opener=lambda cfg: ArraySource), name="arrays")
