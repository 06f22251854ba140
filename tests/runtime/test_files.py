"""What a program may not see is told in the system's words."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from slowfast.datasets import VideoReader
from slowfast.datasets.labels import load_label_list
from slowfast.datasets.preparation.official_annotations import find_file
from slowfast.datasets.reading.source import VideoReadError
from slowfast.engine.checkpoint import CheckpointFolder
from slowfast.engine.run_comparison import compare_runs
from slowfast.errors import UserError
from slowfast.evaluation.report_files import load_report
from slowfast.inference.feature_files import read_features
from slowfast.models.weights.files import read_checkpoint
from slowfast.runtime.files import why_no_folder
from slowfast.runtime.folder_lock import FolderLock
from slowfast.visualization.metrics_file import find_log

NOBODY = 65534


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that this user may not enter; root, who may enter every one, is another user for so long."""
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)


def test_what_lies_in_a_closed_folder_is_a_mistake_of_one_line(closed_folder: Path):
    inside = closed_folder / "inside"
    assert why_no_folder(inside) == "cannot be read: Permission denied"
    with pytest.raises(UserError, match=r"OUTPUT_DIR .*: .* cannot be made: Permission denied$"), FolderLock(inside):
        pass
    with pytest.raises(UserError, match=r"no such checkpoint file: Permission denied$"):
        read_checkpoint(inside)
    assert CheckpointFolder(inside).newest() is None
    for read in (load_label_list, find_log, load_report, lambda path: find_file(Path(path), "train.csv")):
        with pytest.raises(UserError, match="inside"):
            read(inside if read is not load_label_list else str(inside))
    with pytest.raises(UserError, match="inside"):
        compare_runs(inside, closed_folder)
    with pytest.raises(VideoReadError, match=r"^Permission denied$"):
        VideoReader(inside)
    with pytest.raises(UserError, match=r"inside: cannot be read: Permission denied$"):
        read_features(inside)


def test_checkpoints_that_may_not_be_listed_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "checkpoints").mkdir()

    def refuse(path: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UserError, match="checkpoints: cannot be listed: Permission denied; choose another OUTPUT_DIR"):
        CheckpointFolder(tmp_path).newest()
