"""What a place that metrics are written to must be, and what it is told of the run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

# Longest wait at the end of a training for a place that does not answer.
CLOSE_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class MetricsSource:
    """The run that the metrics come from.

    Attributes:
        output_dir: an existing directory.
        num_epochs: that the run has behind it, with their validation.
        num_steps: optimizer updates that it has behind it, of all epochs; 0 for a new run.
        config: every key of the config and its value.
    """

    output_dir: Path
    num_epochs: int = 0
    num_steps: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the run, for people."""
        return self.output_dir.resolve().name


class MetricsWriter(Protocol):
    """A place that the metrics of a training are written to, by rank 0 alone.

    Making one imports what it needs and does no more: a package that is missing is a UserError before anything begins.

    Attributes:
        what: is written, for messages: "TensorBoard's files".
    """

    what: str

    def open(self, source: MetricsSource) -> None:
        """Begin, or go on with what the run wrote before it was interrupted; called once, before all else."""

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Take one line.

        Args:
            kind: what the line is about: "train", "val" or "val_ema".
            step: optimizer updates done so far.
            values: JSON values; what is not a number may be left out.
        """

    def write_classes(self, kind: str, step: int, accuracy: Mapping[str, float], confusion: np.ndarray | None) -> None:
        """Take what a validation tells of the classes one by one; metrics.jsonl leaves it out.

        Args:
            kind, step: of the line of the validation.
            accuracy: percent, of each class that has videos, by its name.
            confusion: a picture of the confusion matrix, uint8 (H, W, 3); None of several labels per video.
        """

    def close(self, *, has_failed: bool = False) -> None:
        """Write what is left; ``has_failed``: the training ends with an error."""


def numbers_of(kind: str, values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a line by the names that curves have everywhere: "train/loss"."""
    return {f"{kind}/{name}": value for name, value in values.items() if isinstance(value, int | float)}
