"""Scores in the forms of other programs."""

import csv
import json
import os
import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest
import torch

from slowfast.errors import UserError
from slowfast.evaluation.report_files import ScoredVideos
from slowfast.evaluation.score_dump import check_dump, write_dump

PATHS = ["a.mp4", os.fsdecode(b"b \xe9.mp4"), 'c "quoted", ü.mp4']
SCORES = torch.tensor([[0.1, 0.9], [0.7, 0.3], [1e-42, 1.0]])
SINGLE, SEVERAL = torch.tensor([1, 0, 0]), torch.tensor([[0.0, 1], [1, 1], [0, 0]])


@pytest.mark.parametrize(("labels", "told"), [(SINGLE, [1, 0, 0]), (SEVERAL, [[1], [0, 1], []])])
@pytest.mark.parametrize("suffix", [".pkl", ".json"])
def test_a_list_of_dicts_as_mmaction2_has_it(suffix: str, labels: torch.Tensor, told: list, tmp_path: Path):
    path = tmp_path / f"new folder/result{suffix}"
    check_dump(path)
    write_dump(path, ScoredVideos(PATHS, labels, SCORES, SCORES))
    content = pickle.loads(path.read_bytes()) if suffix == ".pkl" else json.loads(path.read_text())
    assert [video["path"] for video in content] == PATHS
    assert [video["gt_label"] for video in content] == told
    assert [video["pred_label"] for video in content] == [1, 0, 1]
    assert torch.equal(torch.tensor([video["pred_score"] for video in content]), SCORES)


def test_the_pickle_needs_no_class_and_no_function(tmp_path: Path):
    write_dump(tmp_path / "a.pkl", ScoredVideos(PATHS, SEVERAL, SCORES, SCORES))
    names = {opcode.name for opcode, _, _ in pickletools.genops((tmp_path / "a.pkl").read_bytes())}
    assert not names & {"GLOBAL", "STACK_GLOBAL", "INST", "REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX", "OBJ"}


def test_arrays(tmp_path: Path):
    write_dump(tmp_path / "a.npz", ScoredVideos(PATHS, SINGLE, SCORES, SCORES))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as content:
        assert content["paths"].tolist() == PATHS and content["labels"].tolist() == [1, 0, 0]
        assert content["scores"].dtype == np.float32 and np.array_equal(content["scores"], SCORES.numpy())


def test_the_table_of_predictions(tmp_path: Path):
    write_dump(tmp_path / "a.csv", ScoredVideos(PATHS, SEVERAL, SCORES, SCORES))
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == PATHS and [row["label"] for row in rows] == ["1", "0;1", ""]


def test_another_ending_and_a_place_that_is_none(tmp_path: Path):
    with pytest.raises(UserError, match=r"--dump a\.txt: the ending '\.txt' is no form; accepted: \.pkl, \.npz, \.csv"):
        check_dump(Path("a.txt"))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"the folder cannot be made: .*; choose another place for --dump"):
        check_dump(tmp_path / "file" / "a.csv")
