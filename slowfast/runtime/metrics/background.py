"""A writer that works beside the training: it neither holds it up nor ends it."""

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np

from slowfast.runtime.files import system_cause
from slowfast.runtime.metrics.writer import CLOSE_TIMEOUT_S, MetricsSource, MetricsWriter

logger = logging.getLogger(__name__)


class Background:
    """Hands lines to a writer in a thread of its own, from ``open`` on.

    If the writer fails (no network, a full disk), that is said once, and it gets no more lines. One that hangs is left
    alone at the end.

    Args:
        writer: to work with.
        timeout_s: longest wait for it at the end.
    """

    def __init__(self, writer: MetricsWriter, *, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        self.what = writer.what
        self._writer = writer
        self._timeout_s = timeout_s
        self._is_off = False
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=writer.what, daemon=True)

    def open(self, source: MetricsSource) -> None:
        """Begin; the writer opens in the thread."""
        self._tasks.put(partial(self._writer.open, source))
        self._thread.start()

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Put a line in the queue."""
        if not self._is_off:
            self._tasks.put(partial(self._writer.write, kind, step, **values))

    def write_classes(self, kind: str, step: int, accuracy: Mapping[str, float], confusion: np.ndarray | None) -> None:
        """Put them in the queue."""
        if not self._is_off:
            self._tasks.put(partial(self._writer.write_classes, kind, step, accuracy, confusion))

    def close(self, *, has_failed: bool = False) -> None:
        """Wait until all is written, but not for ever."""
        self._tasks.put(partial(self._writer.close, has_failed=has_failed))
        self._tasks.put(None)
        self._thread.join(self._timeout_s)
        if self._thread.is_alive():
            self._switch_off(f"no answer for {self._timeout_s:g} s")

    def _work(self) -> None:
        try:
            while (task := self._tasks.get()) is not None:
                task()
        except Exception as error:  # whatever goes wrong there must not end a training
            self._switch_off(system_cause(error))

    def _switch_off(self, cause: str) -> None:
        if not self._is_off:
            self._is_off = True
            logger.warning("%s are not written from here on: %s; metrics.jsonl has all of it", self.what, cause)
