"""Reading back what a test has written of every video."""

import csv
import os
import sys
import zipfile
import zlib
from array import array as numbers
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from slowfast.errors import UserError
from slowfast.evaluation.classes import class_name
from slowfast.evaluation.report import TestReport
from slowfast.evaluation.report_files import ScoredVideos, load_report, report_file
from slowfast.evaluation.views import to_probabilities
from slowfast.runtime.files import NAMES, system_cause

ARCHIVE, TABLE = "scores.npz", "predictions.csv"
ENDINGS = (".csv", ".npz")
_OWN = (ARCHIVE, TABLE, "config.yaml")
_TOLERANCE = 1e-3  # of six digits of several hundred probabilities
# Types (as NumPy's one letter) and dimensions of the arrays.
_KINDS = {"paths": ("U", (1,)), "labels": ("iufb", (1, 2)), "scores": ("iuf", (2,)), "class_names": ("U", (1,))}
# A test does not compress; a file of a few megabytes that becomes gigabytes was made for harm.
_MOST_COMPRESSED = 100

Rows = tuple[list[str], Tensor, Tensor, list[str] | None]


def load_scored(path: Path) -> tuple[TestReport, ScoredVideos]:
    """Read the report of a finished test, and the scores of its videos.

    Args:
        path: ``report.json``, the folder that it is in, or the OUTPUT_DIR of the test.

    Raises:
        UserError: if there is no report, or its scores were not kept or are damaged, or of another test.
    """
    report = load_report(path)
    file = scores_file(path)
    paths, labels, scores, _ = _read(file)
    _refuse_another_test(file, report, labels, scores)
    if labels.ndim == 1 and report.mean_average_precision is not None:  # where each video has one of its labels
        labels = one_hot(labels, scores.shape[1]).float()
    method, _, kind = report.setting.combined.partition(" of ")
    probabilities = to_probabilities(
        scores, has_probabilities=kind == "probabilities", method=method, is_multi_label=labels.ndim == 2
    )
    names = _names({row.label: row.name for row in report.classes}, len(report.classes))
    return report, ScoredVideos(paths, labels, scores, probabilities.values, names)


def load_scores(path: Path) -> tuple[TestReport | None, ScoredVideos]:
    """The same, or what a file of scores alone tells: a table as ``predictions.csv``, an archive as ``scores.npz``.

    A file does not tell what its scores are. They count as probabilities where each video's sum to 1 (of several
    labels: where all are from 0 to 1), otherwise as scores that a softmax (a sigmoid) makes probabilities of.

    Args:
        path: as of ``load_scored``, or a file with one of the ``ENDINGS``; beside its report, that is read, too.

    Returns:
        The report, None of a file alone; and the videos.

    Raises:
        UserError: likewise.
    """
    if path.is_dir() or path.suffix not in ENDINGS:
        return load_scored(path)
    if path.name in (ARCHIVE, TABLE) and (path.parent / "report.json").is_file():
        return load_scored(path.parent)
    paths, labels, scores, names = _read(path)
    are_shares = bool(((scores >= 0) & (scores <= 1 + _TOLERANCE)).all())
    has_probabilities = are_shares and (labels.ndim == 2 or bool((scores.sum(dim=1) - 1).abs().le(_TOLERANCE).all()))
    options = {"has_probabilities": has_probabilities, "method": "sum", "is_multi_label": labels.ndim == 2}
    return None, ScoredVideos(paths, labels, scores, to_probabilities(scores, **options).values, names)


def refuse_own_file(path: Path, output: Path) -> None:
    """Refuse to write over what a test has left.

    Args:
        path: as of ``load_scores``.
        output: where something else is to be written.

    Raises:
        UserError: if that is the report of the test, its scores, or its config.
    """
    file = path if path.is_file() else report_file(path)
    own = {os.path.realpath(file), *(os.path.realpath(file.parent / name) for name in ("report.json", *_OWN))}
    if os.path.realpath(output) in own:
        raise UserError(f"{output}: is a file of the test itself, which would be lost; name another file")


def _refuse_another_test(file: Path, report: TestReport, labels: Tensor, scores: Tensor) -> None:
    """What was written in one go may have been copied, or cut off, apart."""
    where = f"{file.parent}: report.json speaks of"
    if len(labels) != report.scored:
        raise UserError(f"{where} {report.scored} scored videos, and there are {len(labels)}")
    if not len(labels) or not report.classes:  # as of older versions
        return
    if scores.shape[1] != len(report.classes):
        raise UserError(f"{where} {len(report.classes)} classes, and {file.name} has scores of {scores.shape[1]}")
    shown = labels > 0 if labels.ndim == 2 else one_hot(labels, scores.shape[1])
    has_others = shown.sum(dim=0).tolist() != [row.videos for row in report.classes]
    if has_others or (labels.ndim == 2 and report.mean_class_accuracy is not None):
        raise UserError(f"{where} other labels than {file.name} has: they are of two tests; test again")
    if file.name == ARCHIVE:  # in a table scores are rounded, and may be equal that were not
        found = scores.argmax(dim=1).bincount(minlength=scores.shape[1]).tolist()
        if found != [row.predicted for row in report.classes]:
            raise UserError(f"{where} other predictions than {file.name} has: they are of two tests; test again")


def scores_file(path: Path) -> Path:
    """The file that the scores of a finished test lie in; ``path`` as of ``load_scored``."""
    folder = report_file(path).parent
    return folder / ARCHIVE if (folder / ARCHIVE).is_file() else folder / TABLE


def _read(file: Path) -> Rows:
    rows = _read_archive(file) if file.suffix == ".npz" else _read_table(file)
    paths, labels, scores, names = rows
    if not paths:
        return rows
    fits = scores.ndim == 2 and len(paths) == len(labels) == len(scores) and (labels.ndim == 1 or labels.ndim == 2)
    if not fits or (labels.ndim == 2 and labels.shape != scores.shape) or (names and len(names) != scores.shape[1]):
        raise UserError(f"{file}: paths, labels and scores are not of the same videos and classes; test again")
    if labels.ndim == 1 and not bool(((labels >= 0) & (labels < scores.shape[1])).all()):
        raise UserError(f"{file}: has labels that are none of its {scores.shape[1]} classes; test again")
    if not bool(scores.isfinite().all()):
        raise UserError(f"{file}: has scores that are not finite; test again")
    return rows


def _read_archive(file: Path) -> Rows:
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(part.file_size for part in archive.infolist()) > _MOST_COMPRESSED * file.stat().st_size:
                raise UserError(f"{file}: is compressed as no scores are; test again")
        with np.load(file, allow_pickle=False) as content:
            arrays = {name: _array(content, name) for name in _KINDS}
    except UserError:
        raise
    except (OSError, EOFError, ValueError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{file}: is no file of scores: {system_cause(error)}; test again") from None
    labels, scores = arrays["labels"], torch.from_numpy(arrays["scores"].astype(np.float32))
    labels = torch.from_numpy(labels.astype(np.int64 if labels.ndim == 1 else np.float32))
    return arrays["paths"].tolist(), labels, scores, arrays["class_names"].tolist() or None


def _array(content: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """One of the arrays, of a type that can be what its name says."""
    array = content[name]
    kinds, dimensions = _KINDS[name]
    is_count = name != "labels" or array.ndim == 2 or array.dtype.kind in "iu"
    if array.dtype.kind not in kinds or array.ndim not in dimensions or not is_count:
        raise ValueError(f"its {name} are {array.ndim}-dimensional, of {array.dtype}")
    return array


def _read_table(file: Path) -> Rows:
    """The same from ``predictions.csv``, whose scores have six digits."""
    csv.field_size_limit(sys.maxsize)  # scores of many classes are longer than its usual limit
    paths, labels, scores, names = [], [], [], {}
    try:
        # Spreadsheets put a mark before the first column.
        with file.open(newline="", encoding="utf-8-sig", errors=NAMES["errors"]) as lines:
            for number, row in enumerate(csv.DictReader(lines), start=2):
                try:
                    paths.append(row["path"])
                    labels.append([int(label) for label in row["label"].split(";") if label])
                    scores.append(numbers("f", map(float, row["scores"].split())))
                except (KeyError, ValueError, AttributeError):
                    raise UserError(f"{file}: row {number} is no prediction of a test; test again") from None
                if len(labels[-1]) == 1:  # several names are not told apart: a name may have a ";" in it
                    names[labels[-1][0]] = row.get("label_name") or ""
    except (OSError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if scores and not all(scores):
        raise UserError(f"{file}: has no scores of all classes; test again with TEST.SCORES csv or npz")
    if len({len(row) for row in scores}) > 1:
        raise UserError(f"{file}: its rows have scores of different numbers of classes; test again")
    values = torch.from_numpy(np.array(scores, dtype=np.float32))
    num_classes = values.shape[-1] if len(values) else 0
    if any(not 0 <= label < num_classes for row in labels for label in row):
        raise UserError(f"{file}: has labels that are none of its {num_classes} classes; test again")
    return paths, _label_tensor(labels, num_classes), values, _names(names, num_classes)


def _label_tensor(labels: Sequence[Sequence[int]], num_classes: int) -> Tensor:
    if all(len(row) == 1 for row in labels):
        return torch.tensor([row[0] for row in labels], dtype=torch.int64)
    shown = torch.zeros(len(labels), num_classes)
    for row, classes in zip(shown, labels, strict=True):
        row[list(classes)] = 1
    return shown


def _names(told: Mapping[int, str], num_classes: int) -> list[str] | None:
    """Of all classes, with numbers in place of those that are not told; None where nobody has named any."""
    numbers = [class_name(None, label) for label in range(num_classes)]
    names = [told.get(label) or number for label, number in enumerate(numbers)]
    return None if names == numbers else names
