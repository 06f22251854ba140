"""What a test leaves behind: a CSV of predictions and a JSON summary."""

import csv
import io
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import simplejson
from torch import Tensor

from slowfast.errors import UserError
from slowfast.evaluation.accuracy import mean_average_precision, top_k_accuracy
from slowfast.evaluation.probe_report import gaps_in_words
from slowfast.runtime.files import NAMES, make_folder, write_text, write_whole

logger = logging.getLogger(__name__)

MAX_UNSCORED_LINES = 8
REMEDY = "the accuracy is in the log; make room or choose another OUTPUT_DIR, and test again with TRAIN.ENABLE False"


@dataclass(frozen=True, kw_only=True)
class TestSetting:
    """What was tested, and how.

    Attributes:
        checkpoint: file or address.
        data_set, class_names: TEST.DATASET and DATA.CLASS_NAMES_FILE.
        reads: what a video is: "videos" (files) or "folders of frames".
        frames: of a clip.
        sampling: "sparse", "stride 4" (of dense sampling, in frames of the file), or "of its own".
        size_px: side of a view.
        clips, crops: views of a video are clips x crops.
        channel_order: rgb or bgr.
        combined: how the views became scores, such as "sum of probabilities".
        precision: number format of the forward pass, such as float32.
        class_order: how the rows of the classifier came to the classes of the list; "" if nothing tells.
        is_order_assumed: part of it is assumed, or could not be checked.
    """

    __test__ = False  # not a test case, whatever its name says to pytest

    checkpoint: str
    data_set: str
    class_names: str
    reads: str
    frames: int
    sampling: str
    size_px: int
    clips: int
    crops: int
    channel_order: str
    combined: str
    precision: str
    class_order: str
    is_order_assumed: bool


@dataclass(frozen=True)
class TestReport:
    """Counts and accuracy of a test.

    Attributes:
        expected: videos in the list.
        scored: videos that were read and have finite scores; accuracy is over these.
        failed: videos that could not be read.
        truncated: scored videos that end early.
        top1, top5: percent of the scored videos; of several labels per video, one among the predictions is enough.
        failures: path and cause of each failed video.
        truncations: path and cause of each truncated one.
        unscored: videos that were read and have scores that are not finite.
        unscored_videos: path and cause of each of them.
        mean_average_precision: of a multi-label run, in percent; otherwise None.
        setting: what was tested and how; None of a validation.
        probes: what ``probe_report.report_probes`` tells; None without TEST.PROBES.
    """

    __test__ = False  # not a test case, whatever its name says to pytest

    expected: int
    scored: int
    failed: int
    top1: float
    top5: float
    failures: Sequence[tuple[str, str]]
    truncated: int = 0
    truncations: Sequence[tuple[str, str]] = ()
    unscored: int = 0
    unscored_videos: Sequence[tuple[str, str]] = ()
    mean_average_precision: float | None = None
    setting: TestSetting | None = None
    probes: Mapping[str, Any] | None = None

    def summary(self) -> str:
        """One line for people."""
        precision = self.mean_average_precision
        odd = f", {self.unscored} not scored" if self.unscored else ""
        odd += f", {self.truncated} truncated" if self.truncated else ""
        gaps = "" if self.probes is None else gaps_in_words(self.probes)
        has_precision = "" if precision is None else f", mean average precision {precision:.2f} %"
        return (
            f"top-1 {self.top1:.2f} %, top-5 {self.top5:.2f} %{has_precision} over {self.scored} scored videos "
            f"({self.expected} expected, {self.failed} failed{odd}){gaps}"
        )


def make_report(
    scores: Tensor,
    labels: Tensor,
    num_expected: int,
    failures: Sequence[tuple[str, str]],
    truncations: Sequence[tuple[str, str]] = (),
    unscored_videos: Sequence[tuple[str, str]] = (),
) -> TestReport:
    """Summarise.

    Args:
        scores: float (n, K) of the scored videos.
        labels: int64 (n,), or (n, K) with 1 for each class that a video shows.
        num_expected: videos in the list.
        failures: (path, cause) of those that could not be read.
        truncations: (path, cause) of the scored ones that end early.
        unscored_videos: (path, cause) of those with scores that are not finite.
    """
    return TestReport(
        expected=num_expected,
        scored=len(labels),
        failed=len(failures),
        top1=top_k_accuracy(scores, labels, 1),
        top5=top_k_accuracy(scores, labels, 5),
        failures=failures,
        truncated=len(truncations),
        truncations=truncations,
        unscored=len(unscored_videos),
        unscored_videos=unscored_videos,
        mean_average_precision=mean_average_precision(scores, labels) if labels.ndim == 2 else None,
    )


def write_report(folder: Path, report: TestReport, paths: Sequence[str], labels: Tensor, scores: Tensor) -> None:
    """Write ``report.json`` and ``predictions.csv`` (path, label, prediction, scores separated by spaces).

    Several labels of a video are joined by ";"; the prediction is the class of the highest score all the same.

    Args:
        folder: made if need be; each file appears whole or not at all.
        report: the summary.
        paths: of the n scored videos.
        labels: as for ``make_report``.
        scores: float (n, K).

    Raises:
        UserError: if they cannot be written; files of an earlier test stay whole.
    """
    make_folder(folder)
    write_whole(folder / "predictions.csv", lambda file: write_predictions(file, paths, labels, scores), REMEDY)
    content = {name: value for name, value in asdict(report).items() if value is not None}
    write_text(folder / "report.json", simplejson.dumps(content, indent=2, ignore_nan=True) + "\n", REMEDY)


def write_predictions(file: BinaryIO, paths: Sequence[str], labels: Tensor, scores: Tensor) -> None:
    """The table of predictions; names of files that are not UTF-8 keep their bytes."""
    text = io.TextIOWrapper(file, newline="", **NAMES)
    table = PredictionWriter(text)
    for path, label, row in zip(paths, labels, scores, strict=True):
        table.add(path, label, row)
    text.detach()  # flushed; whoever has opened the file closes it


class PredictionWriter:
    """Writes the table of ``predictions.csv``, row by row.

    Args:
        file: open for writing, with ``newline=""``.
    """

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.writer(file)
        self._writer.writerow(["path", "label", "prediction", "scores"])

    def add(self, path: str, label: Tensor | None, scores: Tensor) -> None:
        """Write the row of one video.

        Args:
            path: of the video.
            label: int64 (), or (K,) with 1 for each class that it shows; None if nobody knows it.
            scores: float (K,).
        """
        classes = [] if label is None else [label] if label.ndim == 0 else label.nonzero()
        written = ";".join(str(int(idx)) for idx in classes)
        self._writer.writerow(
            [path, written, int(scores.argmax()), " ".join(f"{value:.6g}" for value in scores.tolist())]
        )


def load_report(path: Path) -> TestReport:
    """Read the report of a finished test, with its setting.

    Args:
        path: ``report.json``, the folder that it is in, or the OUTPUT_DIR of the test.

    Raises:
        UserError: if there is none, it is no report, or it does not tell the setting.
    """
    candidates = [path, path / "report.json", path / "test" / "report.json"]
    file = next((candidate for candidate in candidates if os.path.isfile(candidate)), None)
    if file is None:
        raise UserError(
            f"{path}: has no report of a test; accepted: the OUTPUT_DIR of a finished test (whose report is "
            f"test/report.json), or a report.json"
        )
    try:
        content = simplejson.loads(file.read_text(encoding="utf-8"))
        # JSON has no NaN, which the accuracy over no video is.
        rates = {name: float("nan") if content[name] is None else float(content[name]) for name in ("top1", "top5")}
        setting = TestSetting(**content["setting"]) if content.get("setting") is not None else None
        report = TestReport(**{**content, **rates, "setting": setting})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise UserError(f"{file}: is no report of a test of this version; test again") from None
    if report.setting is None:
        raise UserError(f"{file}: does not tell what was tested, as reports of older versions; test again")
    return report


def log_videos(report: TestReport, level: int) -> None:
    """Name what is odd in a test or validation: videos that could not be read or scored, at ``level``; truncated ones.

    Of a model that scores no video, a few stand for all; ``report.json`` has the others.
    """
    for path, cause in report.failures:
        logger.log(level, "%s could not be read: %s", path, cause)
    for path, cause in report.truncations:
        logger.warning("%s is truncated and was scored up to there: %s", path, cause)
    for path, cause in report.unscored_videos[:MAX_UNSCORED_LINES]:
        logger.log(level, "%s is not scored: %s", path, cause)
    if report.unscored > MAX_UNSCORED_LINES:
        logger.log(level, "%d more videos are not scored", report.unscored - MAX_UNSCORED_LINES)
