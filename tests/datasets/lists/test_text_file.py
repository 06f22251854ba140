"""Text files of other systems and programs: byte order marks, ends of lines, quotes, in every reader of text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slowfast.datasets.labels import load_class_names, load_label_list
from slowfast.datasets.lists import text_file
from slowfast.datasets.lists.annotations import iterate_list, load_list
from slowfast.datasets.lists.line_forms import FRAME_FOLDER, PATH_LABEL, PATH_LABELS, TIME_SPAN, ListForm
from slowfast.datasets.lists.something_something import load_official_labels, load_official_list
from slowfast.datasets.preparation import official_annotations as official
from slowfast.datasets.preparation.kinetics710 import read_ids
from slowfast.datasets.records import VideoRecord
from slowfast.errors import UserError

YOUTUBE_ID = "0wR5jVB-WPk"


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
    return path


def load(path: Path, form: ListForm = PATH_LABEL, separator: str = ",") -> list[VideoRecord]:
    """A list by both of its readers, which agree."""
    arguments = {"separator": separator, "num_classes": 100}
    records = load_list(path, form, **arguments)
    assert records == [record for _, record in iterate_list(path, form, **arguments)]
    return list(records)


def official_files(folder: Path, mark: str) -> None:
    write(folder / "labels.json", mark + json.dumps({"Holding something": "4"}))
    write(folder / "train.json", mark + json.dumps([{"id": "7", "template": "Holding [something]"}]))


READERS: dict[str, tuple[str, str, Callable[[Path], Any]]] = {
    "list": ("train.csv", "a.mp4,1\n", load),
    "class names": ("classes.txt", "jump\nrun\n", lambda path: load_class_names(path, 2)),
    "label list": ("classes.txt", "jump\nrun\n", lambda path: load_label_list(str(path))),
    "labels.json": ("labels.json", '{"Holding something": "4"}', lambda path: load_official_labels(path.parent)),
    "train.json": (
        "train.json",
        '[{"id": "7", "template": "Holding [something]"}]',
        lambda path: list(load_official_list(path.parent, "train", num_classes=5)),
    ),
    "kinetics": (
        "train.csv",
        f"label,youtube_id,time_start,time_end\na,{YOUTUBE_ID},0,10\n",
        lambda path: list(official.read_kinetics(path, "train")),
    ),
    "mit": ("trainingSet.csv", "a/b.mp4,a\n", lambda path: list(official.read_moments_in_time(path, "train"))),
    "sthv1": (
        "something-something-v1-train.csv",
        "1;a\n",
        lambda path: list(official.read_something_something_v1(path, "train")),
    ),
    "anet": (
        "anet.json",
        '{"database": {"x": {"subset": "training", "duration": 2, "annotations": [{"segment": [0, 1], "label": "a"}]}'
        "}}",
        lambda path: list(official.read_activitynet(path, "train")),
    ),
    "ucf101": ("trainlist01.txt", "A/b.avi 1\n", lambda path: list(official.read_ucf101(path, "train", 1))),
    "ids": ("ids.csv", f"youtube_id,split\n{YOUTUBE_ID},test\n", lambda path: read_ids(path, ",")),
}


@pytest.mark.parametrize("name", READERS)
def test_a_byte_order_mark_is_no_part_of_the_first_field(tmp_path: Path, name: str):
    official_files(tmp_path, "")
    file_name, text, read = READERS[name]
    plain = read(write(tmp_path / file_name, text))
    assert plain and read(write(tmp_path / file_name, "\ufeff" + text)) == plain


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_at_newlines_of_any_system(tmp_path: Path, end: str):
    assert load(write(tmp_path / "l.csv", f"a.mp4,1{end}b.mp4,2{end}")) == [
        VideoRecord("a.mp4", 1),
        VideoRecord("b.mp4", 2),
    ]
    assert load_class_names(write(tmp_path / "c.txt", f"jump{end}run{end}"), 2) == ["jump", "run"]


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_names_may_hold_what_only_python_takes_for_the_end_of_a_line(tmp_path: Path, character: str):
    assert load(write(tmp_path / "l.csv", f"a{character}b.mp4,1\n")) == [VideoRecord(f"a{character}b.mp4", 1)]
    path = write(tmp_path / "c.txt", f"a{character}b\nc\n")
    assert load_class_names(path, 2) == load_label_list(str(path)) == [f"a{character}b", "c"]
    (row,) = official.read_something_something_v1(
        write(tmp_path / "something-something-v1-train.csv", f"1;a{character}b\n"), "train"
    )
    assert row.class_name == f"a{character}b"


@pytest.mark.parametrize(
    ("form", "line", "separator", "record"),
    [
        (PATH_LABEL, '"a, b.mp4",3', ",", VideoRecord("a, b.mp4", 3)),
        (PATH_LABEL, '"a.mp4","3"', ",", VideoRecord("a.mp4", 3)),
        (PATH_LABEL, ' "a ""b"".mp4" , 3 ', ",", VideoRecord('a "b".mp4', 3)),
        (PATH_LABEL, '"my video.mp4" 3', " ", VideoRecord("my video.mp4", 3)),
        (PATH_LABELS, '"a.mp4","3;1"', ",", VideoRecord("a.mp4", (1, 3))),
        (FRAME_FOLDER, '"a b" "12" "3"', " ", VideoRecord("a b", 3, 12)),
        (TIME_SPAN, '"a,b",9.5,"1",2,3', ",", VideoRecord("a,b", 3, None, 9.5, 1.0, 2.0)),
        # No quotes around all of it: they are the name's own.
        (PATH_LABEL, '"a" b.mp4,3', ",", VideoRecord('"a" b.mp4', 3)),
        (PATH_LABEL, 'a "b".mp4,3', ",", VideoRecord('a "b".mp4', 3)),
        (PATH_LABEL, '",3', ",", VideoRecord('"', 3)),
    ],
)
def test_quoted_fields_are_those_of_csv(tmp_path: Path, form: ListForm, line: str, separator: str, record: VideoRecord):
    assert load(write(tmp_path / "l.csv", f"{line}\n\n{line}\n"), form, separator) == [record, record]


def test_an_empty_quoted_path_is_no_path(tmp_path: Path):
    with pytest.raises(UserError, match=r"l.csv:1: expected 'path,label', found '\"\",3'"):
        load(write(tmp_path / "l.csv", '"",3\n'))


@pytest.mark.parametrize("block_bytes", range(4, 12))
def test_blocks_end_where_lines_do(tmp_path: Path, block_bytes: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_file, "_BLOCK_BYTES", block_bytes)
    path = write(tmp_path / "l.csv", "\ufeffä,1\r\nbb,2\r\r\n\nccc,3\rd,4\r\n\nee,5")
    assert [record.path for record in load(path)] == ["ä", "bb", "ccc", "d", "ee"]
    rows = iterate_list(path, PATH_LABEL, separator=",", num_classes=9)
    assert [(number, record.label) for number, record in rows] == [(1, 1), (2, 2), (5, 3), (6, 4), (8, 5)]


def test_what_is_no_list_is_refused_before_it_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_file, "_MAX_LINE_BYTES", 2**20)
    with pytest.raises(UserError, match=r"v.csv: a line has more than 1048576 bytes; is it a list\?"):
        load(write(tmp_path / "v.csv", bytes(2**22)))
    with pytest.raises(UserError, match=r"u.csv: is UTF-16 text; save the list as UTF-8"):
        load(write(tmp_path / "u.csv", "a.mp4,1\n".encode("utf-16")))
