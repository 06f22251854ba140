"""The scores of a test in one file of the form that another program wants, as MMAction2's ``--dump`` has it."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from slowfast.errors import UserError
from slowfast.evaluation.report_files import ScoredVideos, write_predictions, write_scores
from slowfast.runtime.files import make_folder, write_whole

REMEDY = "the report is written; start the same command again once it can be: its scores are kept"


def check_dump(path: Path) -> None:
    """Before hours of testing: whether a dump of that name can be written; its folder is made if need be.

    Raises:
        UserError: for a name whose ending is none of ours, and if the folder cannot be made.
    """
    if path.suffix not in _FORMS:
        raise UserError(f"--dump {path}: the ending {path.suffix!r} is no form; accepted: {', '.join(_FORMS)}")
    make_folder(path.parent, "choose another place for --dump")


def write_dump(path: Path, videos: ScoredVideos) -> None:
    """Write the scores in the form that the ending of the name says.

    ``.pkl`` and ``.json`` are a list of one dict per video, as MMAction2 has it, of plain lists, numbers and strings:
    ``path``, ``pred_score`` (K numbers), ``pred_label``, and ``gt_label``, a list where videos have several labels.
    ``.npz`` has arrays: ``paths``, ``class_names``, ``scores`` (float32), ``labels``. ``.csv`` is the table of
    ``predictions.csv``.

    Args:
        path: that ``check_dump`` has seen.
        videos: what is written.

    Raises:
        UserError: if it cannot be written; a file that was there stays whole.
    """
    write_whole(path, lambda file: _FORMS[path.suffix](file, videos), REMEDY)


def _dicts(videos: ScoredVideos) -> list[dict[str, Any]]:
    labels = [label.nonzero()[:, 0].tolist() if label.ndim else int(label) for label in videos.labels]
    rows = zip(videos.paths, videos.scores, labels, strict=True)
    return [
        {"path": path, "pred_score": scores.tolist(), "pred_label": int(scores.argmax()), "gt_label": label}
        for path, scores, label in rows
    ]


# The only pickle that this project writes; it reads none.
_FORMS: dict[str, Callable[[BinaryIO, ScoredVideos], Any]] = {
    ".pkl": lambda file, videos: pickle.dump(_dicts(videos), file),
    ".npz": write_scores,
    ".csv": write_predictions,
    ".json": lambda file, videos: file.write(json.dumps(_dicts(videos)).encode() + b"\n"),
}
