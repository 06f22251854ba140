"""Merging the Kinetics lists: a small hand-made case where every rule bites."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from slowfast.datasets import labels
from slowfast.datasets.labels import load_label_list
from slowfast.datasets.preparation.kinetics710 import (
    LEAKED,
    RELABELLED,
    REPEATED,
    Source,
    map_labels,
    merge,
    overlaps,
    read_ids,
    youtube_id_of,
)
from slowfast.errors import UserError

ORDERS = {"k400": "kinetics400_uniformer", "k600": "kinetics600_uniformer", "k700": "kinetics700_alphabetical"}
NAMES = {source: load_label_list(order) for source, order in ORDERS.items()}
MERGED = load_label_list("kinetics710_uniformer")


def youtube_id(letter: str) -> str:
    return f"-_{letter * 9}"


def write_lists(folder: Path, **lists: list[tuple[str, str]]) -> None:
    """Lists by source and split (k400_train=...), of a letter that stands for a YouTube id, and a class."""
    for name, videos in lists.items():
        source = name.partition("_")[0]
        ending = "_000010_000020.mp4" if source == "k400" else ".mp4"
        lines = [
            f"{source}/{youtube_id(letter)}{ending},{NAMES[source].index(class_name)}" for letter, class_name in videos
        ]
        (folder / f"{name}.csv").write_text("".join(f"{line}\n" for line in lines))


def sources(folder: Path) -> list[Source]:
    return [
        Source(name, folder / f"{name}_train.csv", folder / f"{name}_val.csv", NAMES[name])
        for name in ("k400", "k600", "k700")
    ]


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """Every letter is one video; the class of a has three names."""
    write_lists(
        tmp_path,
        k400_train=[("a", "balloon blowing"), ("b", "abseiling"), ("c", "abseiling"), ("a", "balloon blowing")],
        k600_train=[("a", "inflating_balloons"), ("b", "air_drumming"), ("d", "air_drumming"), ("e", "air_drumming")],
        k700_train=[("f", "inflating balloons"), ("g", "abseiling"), ("h", "abseiling"), ("i", "abseiling")],
        k400_val=[("g", "abseiling"), ("v", "abseiling")],
        k600_val=[("e", "air_drumming"), ("v", "abseiling")],
        k700_val=[("c", "abseiling"), ("v", "air drumming"), ("w", "inflating balloons")],
    )
    # Test lists: the official form, and ours, which may have labels that mean nothing.
    header = "label,youtube_id,time_start,time_end,split"
    (tmp_path / "official_test.csv").write_text(f"{header}\nabseiling,{youtube_id('h')},1,11,test\n")
    (tmp_path / "our_test.csv").write_text(f"{youtube_id('i')}_000001_000011.mp4,-1\n")
    return tmp_path


def merged(lists: Path, out: Path, **arguments) -> dict[str, list[tuple[str, str]]]:
    """(path without folder and suffix, class) of the lists that are written."""
    merge(sources(lists), out, held_out=[lists / "official_test.csv", lists / "our_test.csv"], **arguments)
    names = (out / "classes.txt").read_text().splitlines()
    result = {}
    for split in ("train", "val", "test"):
        rows = list(csv.reader((out / f"{split}.csv").read_text().splitlines()))
        result[split] = [(path, names[int(label)]) for path, label in rows]
    return result


def test_every_rule_bites(lists: Path, tmp_path: Path):
    result = merged(lists, tmp_path / "out")
    balloons = MERGED[map_labels(Source("k400", Path(), None, ["balloon blowing"]), MERGED)[0]]
    assert result["train"] == [
        (f"k400/{youtube_id('a')}_000010_000020.mp4", balloons),
        (f"k400/{youtube_id('b')}_000010_000020.mp4", "abseiling"),
        (f"k600/{youtube_id('d')}.mp4", "air drumming"),
        (f"k700/{youtube_id('f')}.mp4", balloons),
    ]
    assert (
        result["val"]
        == result["test"]
        == [
            (f"k400/{youtube_id('g')}_000010_000020.mp4", "abseiling"),
            (f"k400/{youtube_id('v')}_000010_000020.mp4", "abseiling"),
            (f"k600/{youtube_id('e')}.mp4", "air drumming"),
            (f"k700/{youtube_id('c')}.mp4", "abseiling"),
            (f"k700/{youtube_id('w')}.mp4", balloons),
        ]
    )


def test_what_was_dropped_is_counted_and_named(lists: Path, tmp_path: Path):
    held_out = [lists / "official_test.csv", lists / "our_test.csv"]
    summary = merge(sources(lists), tmp_path / "out", held_out=held_out)
    assert summary.counts == Counter(
        {
            ("k400", "train", ""): 2,
            ("k400", "train", REPEATED): 1,
            ("k400", "train", LEAKED): 1,  # c: validates Kinetics-700
            ("k600", "train", ""): 1,
            ("k600", "train", REPEATED): 1,  # a: the same class by another name
            ("k600", "train", RELABELLED): 1,  # b
            ("k600", "train", LEAKED): 1,  # e: validates Kinetics-600 itself
            ("k700", "train", ""): 1,
            ("k700", "train", LEAKED): 3,  # g: validates Kinetics-400; h and i: tests
            ("k400", "val", ""): 2,
            ("k600", "val", ""): 1,
            ("k600", "val", REPEATED): 1,
            ("k700", "val", ""): 2,
            ("k700", "val", RELABELLED): 1,
        }
    )
    assert summary.lines()[1] == (
        "train of k600: 4 rows, kept 1; dropped 1: same YouTube id as a row above; dropped 1: same YouTube id as a row "
        "above, but another class; dropped 1: YouTube id is in a validation or test list"
    )
    dropped = list(csv.reader((tmp_path / "out" / "dropped.csv").read_text().splitlines()))
    assert dropped[0] == ["split", "source", "path", "label", "reason"]
    assert len(dropped) - 1 == sum(n for (_, _, reason), n in summary.counts.items() if reason)
    assert ["train", "k700", f"k700/{youtube_id('h')}.mp4", str(MERGED.index("abseiling")), LEAKED] in dropped


def test_label_maps_are_those_of_the_shipped_channel_maps(lists: Path, tmp_path: Path):
    out = tmp_path / "out"
    merge(
        [Source(name, lists / f"{name}_train.csv", None, NAMES[name]) for name in ("k400", "k600", "k700")],
        out,
        classes="kinetics710_mmaction2",
    )
    assert not (out / "val.csv").exists()
    for name, size in (("k400", 400), ("k600", 600), ("k700", 700)):
        label_map = json.loads((out / f"label_map_{name}.json").read_text())
        channels = Path(labels.__file__).with_name(f"kinetics710_to_kinetics{size}_channels.json")
        row_of = dict(
            zip(load_label_list(f"kinetics{size}_alphabetical"), json.loads(channels.read_text()), strict=True)
        )
        keyed = {labels.class_key(class_name): row for class_name, row in row_of.items()}
        assert label_map == [keyed[labels.class_key(class_name)] for class_name in NAMES[name]]


def test_the_result_has_no_leak(lists: Path, tmp_path: Path):
    merged(lists, tmp_path / "out")
    train = tmp_path / "out" / "train.csv"
    others = [
        lists / name for name in ("k400_val.csv", "k600_val.csv", "k700_val.csv", "official_test.csv", "our_test.csv")
    ]
    for one, other, ids in overlaps([train, *others]):
        assert ids == [] or train not in (one, other)
    ids = [youtube_id_of(line.rpartition(",")[0], "") for line in train.read_text().splitlines()]
    assert len(set(ids)) == len(ids)


def test_overlap_of_every_two_lists(lists: Path):
    paths = [lists / f"{name}.csv" for name in ("k400_train", "k600_train", "k700_val")]
    assert [(one.stem, other.stem, ids) for one, other, ids in overlaps(paths)] == [
        ("k400_train", "k600_train", [youtube_id("a"), youtube_id("b")]),
        ("k400_train", "k700_val", [youtube_id("c")]),
        ("k600_train", "k700_val", []),
    ]


def test_several_processes_give_the_same_lists(lists: Path, tmp_path: Path):
    assert merged(lists, tmp_path / "one") == merged(lists, tmp_path / "two", num_workers=2)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("k/0123456789a.mp4", "0123456789a"),
        ("0123456789a_000001_000011.mkv", "0123456789a"),
        ("___________.mp4", "___________"),
        ("_a_000001_0_000001_000011.mp4", "_a_000001_0"),
    ],
)
def test_youtube_ids_of_file_names(path: str, expected: str):
    assert youtube_id_of(path, "") == expected


@pytest.mark.parametrize("path", ["short.mp4", "0123456789ab.mp4", "0123456789a_1_11.mp4", "0123456789ä.mp4"])
def test_a_name_without_youtube_id_names_its_line(lists: Path, path: str):
    (lists / "k600_train.csv").write_text(f"\nk600/0123456789a.mp4,3\n{path},4\n")
    with pytest.raises(
        UserError, match=r"k600_train.csv:3: '.*' has no YouTube id; accepted: <id>.mp4 or <id>_<start>"
    ):
        merge(sources(lists), lists / "out")
    with pytest.raises(UserError, match=r"k600_train.csv:3: "):
        read_ids(lists / "k600_train.csv", ",")
    assert not (lists / "out").exists()


def test_mistakes_are_named(lists: Path):
    with pytest.raises(
        UserError, match="k400: 1 of its 2 classes are not among the 710, such as 'walking on the moon'"
    ):
        map_labels(Source("k400", Path(), None, ["abseiling", "walking on the moon"]), MERGED)
    with pytest.raises(UserError, match="kinetics400_uniformer: has 400 classes; Kinetics-710 has 710"):
        merge(sources(lists), lists / "out", classes="kinetics400_uniformer")
    with pytest.raises(UserError, match=r"none.csv: cannot read the list file"):
        read_ids(lists / "none.csv", ",")
