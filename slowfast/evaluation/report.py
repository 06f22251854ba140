"""What a test leaves behind: a CSV of predictions and a JSON summary."""

import csv
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import simplejson
from torch import Tensor

from slowfast.evaluation.accuracy import top_k_accuracy


@dataclass(frozen=True)
class TestReport:
    """Counts and accuracy of a test.

    Attributes:
        expected: videos in the list.
        scored: videos that were read and scored; accuracy is over these.
        failed: videos that could not be read.
        top1, top5: percent of the scored videos.
        failures: path and cause of each failed video.
    """

    __test__ = False  # not a test case, whatever its name says to pytest

    expected: int
    scored: int
    failed: int
    top1: float
    top5: float
    failures: Sequence[tuple[str, str]]

    def summary(self) -> str:
        """One line for people."""
        return (
            f"top-1 {self.top1:.2f} %, top-5 {self.top5:.2f} % over {self.scored} scored videos "
            f"({self.expected} expected, {self.failed} failed)"
        )


def make_report(scores: Tensor, labels: Tensor, num_expected: int, failures: Sequence[tuple[str, str]]) -> TestReport:
    """Summarise.

    Args:
        scores: float (n, K) of the scored videos.
        labels: int64 (n,).
        num_expected: videos in the list.
        failures: (path, cause) of the others.
    """
    return TestReport(
        expected=num_expected,
        scored=len(labels),
        failed=len(failures),
        top1=top_k_accuracy(scores, labels, 1),
        top5=top_k_accuracy(scores, labels, 5),
        failures=failures,
    )


def write_report(folder: Path, report: TestReport, paths: Sequence[str], labels: Tensor, scores: Tensor) -> None:
    """Write ``report.json`` and ``predictions.csv`` (path, label, prediction, scores separated by spaces).

    Args:
        folder: made if need be; each file appears whole or not at all.
        report: the summary.
        paths: of the n scored videos.
        labels: int64 (n,).
        scores: float (n, K).
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "predictions.csv.tmp"
    with temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "prediction", "scores"])
        for path, label, row in zip(paths, labels.tolist(), scores, strict=True):
            writer.writerow([path, label, int(row.argmax()), " ".join(f"{value:.6g}" for value in row.tolist())])
    os.replace(temporary, folder / "predictions.csv")
    temporary = folder / "report.json.tmp"
    temporary.write_text(simplejson.dumps(asdict(report), indent=2, ignore_nan=True) + "\n")
    os.replace(temporary, folder / "report.json")
