"""The files that a test leaves: report.json, predictions.csv and, if asked for, scores.npz."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
import simplejson
from torch import Tensor

from slowfast.errors import UserError
from slowfast.evaluation.accuracy import best_classes
from slowfast.evaluation.classes import class_name
from slowfast.evaluation.json_values import from_json
from slowfast.evaluation.report import SCHEMA_VERSION, TestReport
from slowfast.runtime.files import NAMES, make_folder, system_cause, write_text, write_whole

REMEDY = "the accuracy is in the log; make room or choose another OUTPUT_DIR, and test again with TRAIN.ENABLE False"


NUM_NAMED = 5
SCORES_KINDS = ("csv", "npz", "none")


@dataclass(frozen=True)
class ScoredVideos:
    """The scored videos of a test, one by one.

    Attributes:
        paths: of the n videos.
        labels: int64 (n,), or (n, K) with 1 for each class that a video shows.
        scores: float32 (n, K).
        probabilities: float32 (n, K).
        class_names: in the order of the labels; None if nobody knows them.
    """

    paths: Sequence[str]
    labels: Tensor
    scores: Tensor
    probabilities: Tensor
    class_names: Sequence[str] | None = None


def write_report(folder: Path, report: TestReport, videos: ScoredVideos, *, scores: str = "csv") -> None:
    """Write ``predictions.csv``, ``report.json`` and, if ``scores`` is "npz", ``scores.npz``.

    Args:
        folder: made if need be; each file appears whole or not at all.
        report: the summary.
        videos: one row each.
        scores: where the scores of all classes go: a column of predictions.csv, scores.npz, or nowhere.

    Raises:
        UserError: if they cannot be written; files of an earlier test stay whole.
    """
    make_folder(folder)
    write_whole(
        folder / "predictions.csv", lambda file: write_predictions(file, videos, has_scores=scores == "csv"), REMEDY
    )
    archive = folder / "scores.npz"
    if scores == "npz":
        write_whole(archive, lambda file: write_scores(file, videos), REMEDY)
    else:
        archive.unlink(missing_ok=True)  # of an earlier test, which the other files are no longer of
    content = {name: value for name, value in asdict(report).items() if value is not None}
    write_text(folder / "report.json", simplejson.dumps(content, indent=2, ignore_nan=True) + "\n", REMEDY)


def write_predictions(file: BinaryIO, videos: ScoredVideos, *, has_scores: bool = True) -> None:
    """The table of predictions; names of files that are not UTF-8 keep their bytes."""
    text = io.TextIOWrapper(file, newline="", **NAMES)
    table = PredictionWriter(text, videos.class_names, has_scores=has_scores)
    for row in zip(videos.paths, videos.labels, videos.scores, videos.probabilities, strict=True):
        table.add(*row)
    text.detach()  # flushed; whoever has opened the file closes it


def write_scores(file: BinaryIO, videos: ScoredVideos) -> None:
    """Arrays of numbers and text alone: paths, class_names (empty where nobody knows them), labels, scores."""
    names = {"paths": np.array(videos.paths, dtype=str), "class_names": np.array(videos.class_names or [], dtype=str)}
    np.savez(file, scores=videos.scores.numpy(), labels=videos.labels.numpy(), **names)


class PredictionWriter:
    """Writes the table of ``predictions.csv``, row by row.

    Its columns are path, label, prediction and scores (separated by spaces), the name of the label, and the names and
    probabilities of the ``NUM_NAMED`` most probable classes. Several labels of a video are joined by ";"; the
    prediction is the class of the highest score all the same.

    Args:
        file: open for writing, with ``newline=""``.
        class_names: in the order of the labels; None if nobody knows them.
        has_scores: whether the column of scores is filled.
    """

    def __init__(self, file: TextIO, class_names: Sequence[str] | None = None, *, has_scores: bool = True) -> None:
        self._writer, self._names, self._has_scores = csv.writer(file), class_names, has_scores
        named = [column for rank in range(1, NUM_NAMED + 1) for column in (f"name_{rank}", f"probability_{rank}")]
        self._writer.writerow(["path", "label", "prediction", "scores", "label_name", *named])

    def add(self, path: str, label: Tensor | None, scores: Tensor, probabilities: Tensor) -> None:
        """Write the row of one video.

        Args:
            path: of the video.
            label: int64 (), or (K,) with 1 for each class that it shows; None if nobody knows it.
            scores, probabilities: float (K,).
        """
        shown = [] if label is None else [label] if label.ndim == 0 else label.nonzero()
        labels = [int(idx) for idx in shown]
        best = best_classes(probabilities, NUM_NAMED)
        named = [
            cell
            for idx, value in zip(best.tolist(), probabilities[best].tolist(), strict=True)
            for cell in (class_name(self._names, idx), f"{value:.6g}")
        ]
        self._writer.writerow(
            [
                path,
                ";".join(map(str, labels)),
                int(scores.argmax()),
                " ".join(f"{value:.6g}" for value in scores.tolist()) if self._has_scores else "",
                ";".join(class_name(self._names, idx) for idx in labels),
                *named,
                *[""] * (2 * NUM_NAMED - len(named)),
            ]
        )


def load_report(path: Path) -> TestReport:
    """Read the report of a finished test, with its setting.

    Args:
        path: ``report.json``, the folder that it is in, or the OUTPUT_DIR of the test.

    Raises:
        UserError: if there is none, it is no report, or it does not tell the setting.
    """
    file = report_file(path)
    try:
        content = simplejson.loads(file.read_text(encoding="utf-8"))
        version = from_json(int, content.get("schema_version", 1), "schema_version")
        report = None if version > SCHEMA_VERSION else from_json(TestReport, content)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        told = system_cause(error)
        raise UserError(f"{file}: is no report of a test of this version; test again ({told})") from None
    if report is None:
        raise UserError(
            f"{file}: is of a newer version (schema_version {version}); accepted: up to {SCHEMA_VERSION}; install the "
            f"version that wrote it"
        )
    if report.setting is None:
        raise UserError(f"{file}: does not tell what was tested, as reports of older versions; test again")
    _check_classes(file, report)
    return report


def _check_classes(file: Path, report: TestReport) -> None:
    """Whoever reads a report takes the numbers of classes for places in its table."""
    number = len(report.classes)
    in_table = all(max(pair.label, pair.predicted) < number for pair in report.confused)
    if not in_table or any(row.label != place for place, row in enumerate(report.classes)):
        raise UserError(f"{file}: its classes are not in the order of their labels; test again")


def report_file(path: Path) -> Path:
    """Where the report of a test lies.

    Args:
        path: as of ``load_report``.

    Raises:
        UserError: if there is none.
    """
    candidates = [path, path / "report.json", path / "test" / "report.json"]
    file = next((candidate for candidate in candidates if os.path.isfile(candidate)), None)
    if file is None:
        raise UserError(
            f"{path}: has no report of a test; accepted: the OUTPUT_DIR of a finished test (whose report is "
            f"test/report.json), or a report.json"
        )
    return file
