"""Metrics as event files for TensorBoard."""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from slowfast.runtime.metrics.writer import MetricsSource, numbers_of


class TensorBoardWriter:
    """Event files in ``output_dir``/tensorboard; steps that a resumed run takes again replace those of before."""

    what = "TensorBoard's files"

    def __init__(self) -> None:
        # Imported here because it takes seconds and few runs want it.
        from torch.utils.tensorboard import SummaryWriter

        self._make_writer, self._writer = SummaryWriter, None

    def open(self, source: MetricsSource) -> None:
        """Begin a file."""
        purge_step = source.num_steps + 1 if source.num_steps else None
        threading.excepthook = _told_by_others
        self._writer = self._make_writer(str(source.output_dir / "tensorboard"), purge_step=purge_step)

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Add a point to each curve."""
        for name, value in numbers_of(kind, values).items():
            self._writer.add_scalar(name, value, step)

    def write_classes(self, kind: str, step: int, accuracy: Mapping[str, float], confusion: np.ndarray | None) -> None:
        """Add a point to the curve of each class, and a picture."""
        for name, value in accuracy.items():
            self._writer.add_scalar(f"{kind}_accuracy_of/{name}", value, step)
        if confusion is not None:
            self._writer.add_image(f"{kind}/confusion", confusion, step, dataformats="HWC")

    def close(self, *, has_failed: bool = False) -> None:
        """Write what is left."""
        self._writer.close()


def _told_by_others(error: threading.ExceptHookArgs) -> None:
    """Leave out what TensorBoard's thread prints: its next writer meets the same error, and tells it."""
    is_tensorboard = type(error.thread).__module__.startswith("tensorboard.")
    if not (is_tensorboard and isinstance(error.exc_value, OSError)):
        threading.__excepthook__(error)
