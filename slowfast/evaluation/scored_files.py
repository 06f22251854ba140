"""Reading back what a test has written of every video."""

import csv
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from slowfast.errors import UserError
from slowfast.evaluation.report import TestReport
from slowfast.evaluation.report_files import ScoredVideos, load_report, report_file
from slowfast.evaluation.views import to_probabilities
from slowfast.runtime.files import NAMES


def load_scored(path: Path) -> tuple[TestReport, ScoredVideos]:
    """Read the report of a finished test, and the scores of its videos.

    Args:
        path: ``report.json``, the folder that it is in, or the OUTPUT_DIR of the test.

    Raises:
        UserError: if there is no report, or its scores were not kept or are damaged, or of another test.
    """
    report = load_report(path)
    folder = report_file(path).parent
    archive, table = folder / "scores.npz", folder / "predictions.csv"
    paths, labels, scores = _read_archive(archive) if archive.is_file() else _read_table(table)
    if len(paths) != report.scored:
        raise UserError(f"{folder}: report.json speaks of {report.scored} scored videos, and there are {len(paths)}")
    method, _, kind = report.setting.combined.partition(" of ")
    probabilities = to_probabilities(
        scores, has_probabilities=kind == "probabilities", method=method, is_multi_label=labels.ndim == 2
    )
    names = [row.name for row in report.classes] or None
    return report, ScoredVideos(paths, labels, scores, probabilities.values, names)


def _read_archive(file: Path) -> tuple[list[str], Tensor, Tensor]:
    try:
        with np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in ("paths", "labels", "scores")}
        return arrays["paths"].tolist(), torch.from_numpy(arrays["labels"]), torch.from_numpy(arrays["scores"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(f"{file}: is no file of scores: {error}; test again") from None


def _read_table(file: Path) -> tuple[list[str], Tensor, Tensor]:
    """The same from ``predictions.csv``, whose scores have six digits."""
    csv.field_size_limit(sys.maxsize)  # scores of many classes are longer than its usual limit
    paths, labels, scores = [], [], []
    try:
        with file.open(newline="", **NAMES) as lines:
            for number, row in enumerate(csv.DictReader(lines), start=2):
                try:
                    paths.append(row["path"])
                    labels.append([int(label) for label in row["label"].split(";") if label])
                    scores.append([float(score) for score in row["scores"].split(" ") if score])
                except (KeyError, ValueError, AttributeError):
                    raise UserError(f"{file}: row {number} is no prediction of a test; test again") from None
    except (OSError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if scores and not all(scores):
        raise UserError(f"{file}: has no scores of all classes; test again with TEST.SCORES csv or npz")
    if len({len(row) for row in scores}) > 1:
        raise UserError(f"{file}: its rows have scores of different numbers of classes; test again")
    values = torch.tensor(scores, dtype=torch.float32)
    return paths, _label_tensor(labels, values.shape[-1] if len(values) else 0), values


def _label_tensor(labels: Sequence[Sequence[int]], num_classes: int) -> Tensor:
    if all(len(row) == 1 for row in labels):
        return torch.tensor([row[0] for row in labels], dtype=torch.int64)
    shown = torch.zeros(len(labels), num_classes)
    for row, classes in zip(shown, labels, strict=True):
        row[list(classes)] = 1
    return shown
