"""What a test, or a validation, found: counts, accuracy and how sure it is, class by class."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from slowfast.evaluation.accuracy import AveragePrecision, average_precision, top_k_accuracy, top_k_correct
from slowfast.evaluation.calibration import Calibration, calibrate
from slowfast.evaluation.classes import (
    ClassFigures,
    ConfusedPair,
    class_table,
    confused_pairs,
    confusion_matrix,
    mean_figures,
    shown_table,
)
from slowfast.evaluation.intervals import Interval, wilson
from slowfast.evaluation.probes.probe_report import ProbeReport, gaps_in_words
from slowfast.evaluation.views import Probabilities

logger = logging.getLogger(__name__)

# Of report.json; it grows with every change that older programs cannot read.
SCHEMA_VERSION = 2
MAX_UNSCORED_LINES = 8


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

    Of an ensemble of tests that differ in a number, it is None; different words are joined by " + ".
    """

    __test__ = False  # not a test case, whatever its name says to pytest

    checkpoint: str
    data_set: str
    class_names: str
    reads: str
    frames: int | None
    sampling: str
    size_px: int | None
    clips: int | None
    crops: int | None
    channel_order: str
    combined: str
    precision: str
    class_order: str
    is_order_assumed: bool

    def in_words(self) -> str:
        """Views, scores and precision, for a line."""
        clips, crops, frames, size_px = (
            "various" if number is None else number for number in (self.clips, self.crops, self.frames, self.size_px)
        )
        views = f"{clips} x {crops} views of {frames} frames ({self.sampling})"
        return f"{views} of {size_px} px, {self.combined}, {self.precision}"


@dataclass(frozen=True, kw_only=True)
class TestRun:
    """What a test was made of and how long it took.

    Attributes:
        seconds: from the first batch to the last scores; of a test that was cut off, of its last part.
        videos_per_s: in that time.
        weights_sha256: of names, types and values of the model's tensors; equal for equal models, whatever the file.
        list_sha256: of the paths and labels, in any order, see ``unordered_hash``.
        config_sha256: of the keys that scores depend on: the model's, those of DATA and TEST, the number format.
        git_commit: None if the code is not in a git repository.
        versions: of this package, Python, PyTorch and CUDA.
    """

    __test__ = False

    seconds: float
    videos_per_s: float
    weights_sha256: str
    list_sha256: str
    config_sha256: str
    git_commit: str | None
    versions: Mapping[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A test that is part of an ensemble.

    Attributes:
        path: of its report, as it was named.
        weight: of its probabilities; those of all tests sum to 1.
        scores_sha256: of the file that its scores were read from.
        top1: its own, in percent.
        setting, run: of its report.
    """

    path: str
    weight: float
    scores_sha256: str
    top1: float
    setting: TestSetting
    run: TestRun | None = None


@dataclass(frozen=True)
class TestReport:
    """Counts and accuracy of a test; percentages from 0 to 100.

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
        mean_class_accuracy: mean of the accuracies of the classes that a video shows; None of several labels per video.
        macro_f1: mean of the F1 of the classes that a video shows or is predicted as; None likewise.
        intervals: in which the figures of all such videos lie, in 95 % of all tests: from, to, by the figure's name.
        calibration: of the probabilities; None of several labels per video, and where no video is scored.
        classes: one by one, in the order of the labels.
        confused: the pairs of classes that are taken for one another most, the most frequent first.
        run: what it was made of and how long it took; None of a validation and of an ensemble.
        sources: the tests that an ensemble is of; otherwise None.
        schema_version: of the form of all this.
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
    probes: ProbeReport | None = None
    mean_class_accuracy: float | None = None
    macro_f1: float | None = None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    calibration: Calibration | None = None
    classes: Sequence[ClassFigures] = ()
    confused: Sequence[ConfusedPair] = ()
    run: TestRun | None = None
    sources: Sequence[Source] | None = None
    schema_version: int = SCHEMA_VERSION

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
    *,
    class_names: Sequence[str] | None = None,
    probabilities: Probabilities | None = None,
    temperature: float | None = None,
) -> TestReport:
    """Summarise.

    Args:
        scores: float (n, K) of the scored videos.
        labels: int64 (n,), or (n, K) with 1 for each class that a video shows.
        num_expected: videos in the list.
        failures: (path, cause) of those that could not be read.
        truncations: (path, cause) of the scored ones that end early.
        unscored_videos: (path, cause) of those with scores that are not finite.
        class_names: in the order of the labels; None if nobody knows them.
        probabilities: of the scored videos; None leaves out the calibration.
        temperature: fitted on another list; None leaves it out.
    """
    report = {
        "expected": num_expected,
        "scored": len(labels),
        "failed": len(failures),
        "top1": top_k_accuracy(scores, labels, 1),
        "top5": top_k_accuracy(scores, labels, 5),
        "failures": failures,
        "truncated": len(truncations),
        "truncations": truncations,
        "unscored": len(unscored_videos),
        "unscored_videos": unscored_videos,
    }
    is_multi_label = labels.ndim == 2
    if len(labels) == 0:
        return TestReport(**report, mean_average_precision=float("nan") if is_multi_label else None)
    intervals = {f"top{k}": wilson(int(top_k_correct(scores, labels, k).sum()), len(labels)) for k in (1, 5)}
    if is_multi_label:
        means, figures = _of_several_labels(scores, labels, class_names)
    else:
        means, figures = _of_one_label(scores, labels, class_names)
        if probabilities is not None:
            figures["calibration"] = calibrate(probabilities.values, labels, probabilities.told, temperature)
    return TestReport(**report, **figures, intervals=_in_percent(intervals | means))


def _of_several_labels(
    scores: Tensor, labels: Tensor, class_names: Sequence[str] | None
) -> tuple[dict[str, Interval], dict[str, Any]]:
    """Intervals, and the fields of a report that speak of classes."""
    precision = average_precision(scores, labels)
    classes = shown_table(scores, labels, precision.of_class, class_names)
    return _interval_of(precision), {"mean_average_precision": precision.mean, "classes": classes}


def _of_one_label(
    scores: Tensor, labels: Tensor, class_names: Sequence[str] | None
) -> tuple[dict[str, Interval], dict[str, Any]]:
    """The same where each video has one label."""
    confusion = confusion_matrix(scores.argmax(dim=1), labels, scores.shape[1])
    accuracy, f1 = mean_figures(confusion)
    return {"mean_class_accuracy": accuracy.interval, "macro_f1": f1.interval}, {
        "mean_class_accuracy": 100.0 * accuracy.value,
        "macro_f1": 100.0 * f1.value,
        "classes": class_table(confusion, class_names),
        "confused": confused_pairs(confusion, class_names),
    }


def _interval_of(precision: AveragePrecision) -> dict[str, Interval]:
    return {} if precision.interval is None else {"mean_average_precision": precision.interval}


def _in_percent(intervals: Mapping[str, Interval]) -> dict[str, tuple[float, float]]:
    return {name: (100.0 * interval.low, 100.0 * interval.high) for name, interval in intervals.items()}


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
