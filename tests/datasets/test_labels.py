"""The shipped lists of class names."""

import json

import pytest

from slowfast.datasets import labels
from slowfast.datasets.labels import class_key, label_list_names, load_label_list
from slowfast.errors import UserError

SIZES = {
    "activitynet200": 200,
    "hmdb51": 51,
    "kinetics400_alphabetical": 400,
    "kinetics400_uniformer": 400,
    "kinetics600_alphabetical": 600,
    "kinetics600_uniformer": 600,
    "kinetics700_alphabetical": 700,
    "kinetics710_mmaction2": 710,
    "kinetics710_uniformer": 710,
    "moments_in_time_v1": 339,
    "something_something_v1": 174,
    "something_something_v2": 174,
    "ucf101": 101,
}


def test_all_lists_are_shipped():
    assert label_list_names() == sorted(SIZES)


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_lists_have_distinct_classes(name, size):
    names = load_label_list(name)
    assert len(names) == size
    assert len({class_key(name) for name in names}) == size
    assert all(name == name.strip() and name for name in names)


@pytest.mark.parametrize("name", ["kinetics400", "kinetics600"])
def test_both_orders_have_the_same_classes(name):
    one, other = (sorted(map(class_key, load_label_list(f"{name}_{order}"))) for order in ("uniformer", "alphabetical"))
    assert one == other


def test_the_authors_kinetics_710_is_kinetics_400_and_the_rest():
    names = load_label_list("kinetics710_uniformer")
    assert names[:400] == load_label_list("kinetics400_uniformer")
    assert names[400:] == load_label_list("kinetics710_mmaction2")[400:]
    assert sorted(map(class_key, names)) == sorted(map(class_key, load_label_list("kinetics710_mmaction2")))


@pytest.mark.parametrize("size", [400, 600, 700])
def test_keys_agree_with_the_channel_maps(size):
    rows = json.loads((labels._FOLDER / f"kinetics710_to_kinetics{size}_channels.json").read_text())
    kinetics710 = load_label_list("kinetics710_mmaction2")
    for name, row in zip(load_label_list(f"kinetics{size}_alphabetical"), rows, strict=True):
        assert class_key(name) == class_key(kinetics710[row])


def test_keys_ignore_case_and_punctuation():
    assert class_key("Eating_burger!") == class_key("eating burger") == "eatingburger"
    assert class_key("dying hair") == class_key("dyeing hair")


def test_other_files_are_read_by_path(tmp_path):
    (tmp_path / "mine.txt").write_text("jump\nrun\n")
    assert load_label_list(str(tmp_path / "mine.txt")) == ["jump", "run"]
    (tmp_path / "mine.txt").write_text("jump\njump\n")
    with pytest.raises(UserError, match="'jump' occurs twice"):
        load_label_list(str(tmp_path / "mine.txt"))
    (tmp_path / "mine.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="cannot read the class names"):
        load_label_list(str(tmp_path / "mine.txt"))
    with pytest.raises(UserError, match="kinetics: no list of class names; accepted: a file or one of activitynet200"):
        load_label_list("kinetics")
