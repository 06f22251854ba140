"""Videos with several labels: their lists, errors that name file and line, and the batches made of them."""

import re
from pathlib import Path

import pytest
import torch
from fvcore.common.config import CfgNode

from slowfast.datasets import build_dataset, build_loader
from slowfast.datasets.catalog import DATASET_REGISTRY
from slowfast.datasets.collate import collate, label_tensor
from slowfast.datasets.lists.annotations import load_list
from slowfast.datasets.lists.line_forms import PATH_LABEL, PATH_LABELS
from slowfast.datasets.records import FailedVideo, Sample, VideoRecord
from slowfast.errors import UserError
from tests.datasets.tiny_config import tiny_config
from tests.videos import write_list


def load(tmp_path: Path, text: str, separator: str = ",", **arguments) -> list[VideoRecord]:
    path = tmp_path / "train.csv"
    path.write_text(text)
    return load_list(path, **{"form": PATH_LABELS, "separator": separator, "num_classes": 20, **arguments})


def config(folder: Path, *overrides: object) -> CfgNode:
    labels = ["DATA.MULTI_LABEL", True, "MODEL.LOSS_FUNC", "bce_logit", "MODEL.NUM_CLASSES", 3]
    return tiny_config(folder, *labels, "TRAIN.BATCH_SIZE", 4, "TEST.BATCH_SIZE", 4, *overrides)


# Lists


@pytest.mark.parametrize("separator", [",", " ", "\t", "|"])
def test_labels_are_joined_by_semicolons_and_come_in_order(tmp_path: Path, separator: str):
    records = load(tmp_path, f"a.mp4{separator}17;3\nb c.mp4{separator}0\n", separator)
    assert records == [VideoRecord("a.mp4", (3, 17)), VideoRecord("b c.mp4", (0,))]


def test_blanks_around_labels_and_semicolons_in_paths_are_accepted(tmp_path: Path):
    assert load(tmp_path, "a; b.mp4 , 3 ; 17 \n") == [VideoRecord("a; b.mp4", (3, 17))]


@pytest.mark.parametrize(
    ("text", "separator", "message"),
    [
        ("a.mp4,1\nb.mp4,1;x\n", ",", ":2: label 'x' of 'b.mp4,1;x' is not an integer"),
        ("a.mp4,1;\n", ",", ":1: label '' of 'a.mp4,1;' is not an integer"),
        ("a.mp4,\n", ",", ":1: label '' of 'a.mp4,' is not an integer"),
        ("a.mp4,1.5;2\n", ",", ":1: label '1.5' of 'a.mp4,1.5;2' is not an integer"),
        ("a.mp4,4;2;4\n", ",", ":1: label 4 of 'a.mp4,4;2;4' is there more than once"),
        ("a.mp4,4;20\n", ",", ":1: label 20 is outside [0, 20); mend the list or set MODEL.NUM_CLASSES"),
        ("a.mp4,4;-1\n", ",", ":1: label -1 is outside [0, 20)"),
        ("a.mp4\n", ",", ":1: expected 'path,label;label;...', found 'a.mp4'"),
        ("", ",", ":1: the list is empty; expected lines of the form 'path,label;label;...'"),
        (
            "a.mp4 3; 17\n",
            " ",
            ":1: path 'a.mp4 3;' of 'a.mp4 3; 17' ends with ';'; join the labels of a video without",
        ),
        ("a.mp4 3;17\n", ",", "it looks separated by a space: set DATA.PATH_LABEL_SEPARATOR ' '"),
        ("a b.mp4,3;17\n", " ", "it looks separated by a comma: set DATA.PATH_LABEL_SEPARATOR ','"),
    ],
)
def test_a_bad_line_is_an_error_that_names_file_and_line(tmp_path: Path, text: str, separator: str, message: str):
    with pytest.raises(UserError, match=re.escape(message)) as error:
        load(tmp_path, text, separator)
    assert re.match(re.escape(str(tmp_path / "train.csv")) + r":\d+: ", str(error.value))
    assert "\n" not in str(error.value)


def test_semicolons_are_not_taken_for_a_separator(tmp_path: Path):
    """The hint would be a separator that the rules of the config refuse."""
    with pytest.raises(UserError) as error:
        load(tmp_path, "a.mp4;3;17\n")
    assert str(error.value).endswith(":1: expected 'path,label;label;...', found 'a.mp4;3;17'")


def test_several_labels_without_the_key_are_an_error_that_names_it(tmp_path: Path):
    message = ":1: label '3;17' of 'a.mp4,3;17' is not an integer; several labels per video need DATA.MULTI_LABEL True"
    with pytest.raises(UserError, match=re.escape(message)):
        load(tmp_path, "a.mp4,3;17\n", form=PATH_LABEL)


# Data sets


@pytest.mark.parametrize("name", ["kinetics", "Kinetics_Sparse", "mit", "ucf101_video", "hmdb_video"])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_data_sets_of_plain_lists_take_several_labels(tmp_path: Path, name: str, split: str):
    write_list(tmp_path / f"{split}.csv", [("a.mp4", "2;0")])
    cfg = config(tmp_path, "TRAIN.DATASET", name, "TEST.DATASET", name)
    assert build_dataset(cfg, split).records == [VideoRecord(f"{tmp_path}/a.mp4", (0, 2))]


@pytest.mark.parametrize("name", ["sth", "sth_video", "anet", "hacs", "ucf101", "hmdb", "folder"])
def test_other_data_sets_are_refused_with_those_accepted(tmp_path: Path, name: str):
    for split, key in (("train", "TRAIN"), ("val", "TRAIN"), ("test", "TEST")):
        with pytest.raises(UserError) as error:
            build_dataset(config(tmp_path, f"{key}.DATASET", name), split)
        assert str(error.value) == (
            f"DATA.MULTI_LABEL is True, but {key}.DATASET {name} has one label per video; accepted: kinetics, "
            "kinetics_sparse, mit, ucf101_video, hmdb_video, or set DATA.MULTI_LABEL to False"
        )


def test_every_data_set_is_one_or_the_other():
    assert {name for name, entry in DATASET_REGISTRY if entry.has_plain_lists} == {
        *("kinetics", "kinetics_sparse", "mit", "ucf101_video", "hmdb_video")
    }


# Batches


def test_labels_become_rows_of_ones_and_zeros():
    shown = label_tensor([(0, 2), (1,)], 4)
    assert shown.dtype == torch.float32 and shown.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]
    single = label_tensor([3, 0])
    assert single.dtype == torch.int64 and single.tolist() == [3, 0]
    assert label_tensor([], 4).shape == (0, 4) and label_tensor([]).shape == (0,)


def test_a_view_has_the_labels_of_its_video():
    views = torch.zeros(2, 3, 1, 2, 2, dtype=torch.uint8)
    samples = [Sample(views, (0, 2), 5), FailedVideo(7, "b.mp4", "cause"), Sample(views, (1,), 6)]
    assert collate(samples, num_classes=3).labels.tolist() == [[1, 0, 1], [0, 1, 0]]
    batch = collate(samples, has_label_per_view=True, num_classes=3)
    assert batch.labels.tolist() == [[1, 0, 1]] * 2 + [[0, 1, 0]] * 2 and batch.video_idx.tolist() == [5, 5, 6, 6]
    assert collate(samples[1:2], num_classes=3).labels.shape == (0, 3)


def test_loaders_give_batches_of_several_labels(video_set: Path, tmp_path: Path):
    labels = [(0,), (0, 2), (1, 2), (0, 1, 2)]
    for split in ("train", "val"):
        rows = [(f"videos/{split}_{i}.mp4", ";".join(map(str, shown))) for i, shown in enumerate(labels)]
        write_list(tmp_path / f"{split}.csv", rows)
    expected = label_tensor(labels, 3)
    for split, repeats in (("train", 2), ("val", 1)):
        augmented = ["AUG.ENABLE", True, "AUG.NUM_SAMPLE", 2]
        cfg = config(tmp_path, *augmented, "DATA.PATH_PREFIX", video_set)
        (batch,) = build_loader(cfg, build_dataset(cfg, split))
        assert len(batch.labels) == 4 * repeats and batch.labels.dtype == torch.float32
        assert torch.equal(batch.labels, expected[batch.video_idx])
        assert torch.equal(batch.to(torch.device("cpu")).labels, batch.labels)
