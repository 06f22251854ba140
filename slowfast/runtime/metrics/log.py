"""The metrics log of a run: to metrics.jsonl always, and to the other places that the config names."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from slowfast.runtime import distributed
from slowfast.runtime.interruption import Interrupted
from slowfast.runtime.metrics.background import Background
from slowfast.runtime.metrics.json_lines import JsonLines
from slowfast.runtime.metrics.mlflow import MlflowWriter
from slowfast.runtime.metrics.tensorboard import TensorBoardWriter
from slowfast.runtime.metrics.wandb import WandbWriter
from slowfast.runtime.metrics.writer import MetricsSource, MetricsWriter

# Name in TRAIN.LOGGERS -> the writer.
LOGGERS: dict[str, Callable[[], MetricsWriter]] = {
    "tensorboard": TensorBoardWriter,
    "wandb": WandbWriter,
    "mlflow": MlflowWriter,
}


class MetricsLog:
    """All places that metrics of a run go to; rank 0 only. As a context it closes them, and tells how the run ended.

    Args:
        loggers: names of those beside metrics.jsonl.

    Raises:
        UserError: if a logger's package is missing.
    """

    def __init__(self, loggers: Sequence[str] = ()) -> None:
        self._writers: list[MetricsWriter] = []
        if distributed.is_main():
            others = [Background(LOGGERS[name]()) for name in dict.fromkeys(loggers)]
            self._writers = [JsonLines(), *others]

    def open(self, source: MetricsSource) -> "MetricsLog":
        """Begin; before this, nothing is written.

        Raises:
            UserError: if metrics.jsonl cannot be written. Of the others, which show the same, that is a warning.
        """
        for writer in self._writers:
            writer.open(source)
        return self

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Append one line everywhere; arguments as those of ``MetricsWriter.write``.

        Raises:
            UserError: if metrics.jsonl cannot be written.
        """
        for writer in self._writers:
            writer.write(kind, step, **values)

    @property
    def shows_classes(self) -> bool:
        """Whether there is a place for ``write_classes``, as there is beside metrics.jsonl."""
        return len(self._writers) > 1

    def write_classes(self, kind: str, step: int, accuracy: Mapping[str, float], confusion: np.ndarray | None) -> None:
        """See ``MetricsWriter.write_classes``."""
        for writer in self._writers:
            writer.write_classes(kind, step, accuracy, confusion)

    def close(self, *, has_failed: bool = False) -> None:
        """Write what is left, and end."""
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.close(has_failed=has_failed)

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A run that was asked to stop has done so, and is resumed.
        self.close(has_failed=error is not None and not isinstance(error, Interrupted))
