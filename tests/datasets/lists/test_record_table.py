"""The table of a list: its rows are those that were read one by one; it is small, and processes share it."""

import os
import pickle
import random
import re
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from slowfast.datasets.lists import shared_arrays, text_file
from slowfast.datasets.lists.annotations import iterate_list, load_list
from slowfast.datasets.lists.columns import record_columns
from slowfast.datasets.lists.line_forms import FRAME_FOLDER, PATH_LABEL, PATH_LABELS, TIME_SPAN, ListForm
from slowfast.datasets.lists.record_table import ChainedRecords, RecordTable, TableBuilder
from slowfast.datasets.records import VideoRecord
from slowfast.errors import UserError
from slowfast.runtime.fork_server import fork_server
from slowfast.runtime.memory import status_bytes

NUM_CLASSES = 1000
# Each gives the numbers of a row, as a list has them.
NUMBERS = {
    PATH_LABEL: lambda draws: [str(draws.randrange(NUM_CLASSES))],
    PATH_LABELS: lambda draws: [";".join(map(str, draws.sample(range(NUM_CLASSES), draws.randint(1, 4))))],
    FRAME_FOLDER: lambda draws: [str(draws.choice([1, 7, 2**31 - 1])), str(draws.randrange(NUM_CLASSES))],
    TIME_SPAN: lambda draws: [
        *(repr(draws.uniform(5, 9)), repr(draws.uniform(0, 5)), repr(draws.uniform(5, 7))),
        str(draws.randrange(NUM_CLASSES)),
    ],
}


def write_list(path: Path, form: ListForm, num_rows: int) -> Path:
    """Rows of paths of all kinds, with empty lines between some."""
    draws = random.Random(num_rows)
    paths = ["a b/{}.mp4", "/abs/{}.mp4", "./{}", "x//{}/", "../{}, 2.mp4", "ü/東京{}.webm", "{}\udcff.avi", "~/{}"]
    rows = [",".join([draws.choice(paths).format(i), *NUMBERS[form](draws)]) for i in range(num_rows)]
    text = "".join(f"{row}\n" + "\n" * (draws.random() < 0.001) for row in rows)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def one_by_one(path: Path, form: ListForm, prefix: str = "") -> list[VideoRecord]:
    rows = iterate_list(path, form, separator=",", num_classes=NUM_CLASSES)
    return [record._replace(path=str(Path(prefix, record.path))) for _, record in rows]


def load(path: Path, form: ListForm = PATH_LABEL, prefix: str = "") -> RecordTable:
    return load_list(path, form, separator=",", num_classes=NUM_CLASSES, prefix=prefix)


@pytest.mark.parametrize("form", NUMBERS, ids=lambda form: form.fields[-1] + str(len(form.fields)))
@pytest.mark.parametrize("num_rows", [1, 3000])
def test_rows_are_those_that_are_read_one_by_one(
    tmp_path: Path, form: ListForm, num_rows: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(text_file, "_BLOCK_BYTES", 2**12)
    path = write_list(tmp_path / "train.csv", form, num_rows)
    table, expected = load(path, form, "/data"), one_by_one(path, form, "/data")
    assert len(table) == num_rows and list(table) == expected and table == expected and expected == table
    assert [type(value) for value in table[0]] == [type(value) for value in expected[0]]
    assert table[-1] == expected[-1] and table[num_rows // 2 :] == expected[num_rows // 2 :]
    assert table != expected[:-1] and table != [*expected[:-1], VideoRecord("other", 0)]
    lines = [number for number, _ in iterate_list(path, form, separator=",", num_classes=NUM_CLASSES)]
    assert [table.where(row) for row in (0, num_rows - 1)] == [f"{path}:{line}" for line in (lines[0], lines[-1])]
    for idx in (num_rows, -num_rows - 1):
        with pytest.raises(IndexError):
            table[idx]


@pytest.mark.parametrize(
    ("form", "line", "message"),
    [
        (PATH_LABEL, "b.mp4,1000", "label 1000 is outside [0, 1000); mend the list or set MODEL.NUM_CLASSES"),
        (PATH_LABEL, "b.mp4,-1", "label -1 is outside"),
        (PATH_LABEL, "b.mp4,99999999999999999999", "label 99999999999999999999 is outside"),
        (PATH_LABELS, "b.mp4,3;1000", "label 1000 is outside"),
        (PATH_LABELS, "b.mp4,3;3", "label 3 of 'b.mp4,3;3' is there more than once"),
        (PATH_LABELS, "b.mp4; ,3", "path 'b.mp4;' of 'b.mp4; ,3' ends with ';'"),
        (FRAME_FOLDER, "b,0,1", "num_frames 0 of 'b,0,1' is not at least 1"),
        (FRAME_FOLDER, "b,2147483648,1", "num_frames 2147483648 of 'b,2147483648,1' is more than 2147483647"),
        (TIME_SPAN, "b,9,3,3,1", "end_s 3 of 'b,9,3,3,1' is not after start_s 3"),
        (TIME_SPAN, "b,9,inf,3,1", "start_s 'inf' of 'b,9,inf,3,1' is not a number of seconds"),
        (TIME_SPAN, "b,9,-1,3,1", "start_s -1 of 'b,9,-1,3,1' is outside [0, total_s 9)"),
    ],
)
def test_a_bad_line_among_many_is_named(
    tmp_path: Path, form: ListForm, line: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(text_file, "_BLOCK_BYTES", 2**12)
    path = write_list(tmp_path / "train.csv", form, 3000)
    num_lines = path.read_bytes().count(b"\n")
    with path.open("a") as file:
        file.write(f"{line}\na.mp4\n")
    with pytest.raises(UserError, match=re.escape(f"{path}:{num_lines + 1}: {message}")):
        load(path, form)


def test_records_from_elsewhere_become_a_table(tmp_path: Path):
    records = [VideoRecord("a\nb", 3), VideoRecord("\udcff", 0)]
    builder = TableBuilder(tmp_path, prefix="p")
    builder.add(record_columns(records))
    table = builder.build()
    assert table == [VideoRecord("p/a\nb", 3), VideoRecord("p/\udcff", 0)] and table.where(1) == str(tmp_path)
    for name in ("a\0", "\ud800"):
        with pytest.raises(UserError, match=r"l.json:8: path '.*' has a character that no name of a file has"):
            TableBuilder(Path("l.json")).add(record_columns([*records, VideoRecord(name, 1)]), [6, 7, 8])


def test_records_of_several_lists_are_numbered_through(tmp_path: Path):
    table = load(write_list(tmp_path / "train.csv", PATH_LABEL, 5))
    other = [VideoRecord("x", 1, 2), VideoRecord("y", 2, 3)]
    chained = ChainedRecords([other, table, other])
    assert chained == [*other, *table, *other] and len(chained) == 9
    assert (chained[1], chained[2], chained[-1]) == (other[1], table[0], other[1])
    assert repr(chained).startswith("<9 records: VideoRecord(path='x', label=1")


# Sharing


def elsewhere(function: Callable[[Connection, Any], None], argument: Any) -> Any:
    """What a process like those that load data sends."""
    here, there = fork_server().Pipe()
    process = fork_server().Process(target=function, args=(there, argument))
    process.start()
    assert here.poll(120)
    result = here.recv()
    process.join(60)
    return result


def answer(connection: Connection, table: RecordTable) -> None:
    """In another process: the memory that the table is in, and some rows."""
    rows = [table[0], table[len(table) - 1]]
    rollup = Path("/proc/self/smaps").read_text()
    connection.send((rows, "memfd:slowfast_list" in rollup, type(table.arrays._content).__name__))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux alone has files in memory")
def test_processes_map_the_memory_of_a_large_table_and_get_a_copy_of_a_small_one(tmp_path: Path, monkeypatch):
    path = write_list(tmp_path / "train.csv", PATH_LABEL, 500)
    for limit, is_shared, kind in ((2**20, False, "bytes"), (2**10, True, "mmap")):
        monkeypatch.setattr(shared_arrays, "SHARED_FROM_BYTES", limit)
        table = load(path)
        assert elsewhere(answer, table) == ([table[0], table[-1]], is_shared, kind)
        assert pickle.loads(pickle.dumps(table)) == table  # for a file or a queue: a copy


def mib(field: str) -> float:
    return status_bytes(field) / 2**20


def measure(connection: Connection, path: Path) -> None:
    """In another process: rows, and the memory that a list takes at rest, all of it looked at, and at most."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    before = mib("VmRSS")
    table = load_list(path, PATH_LABEL, separator=",", num_classes=400)
    assert all(table.arrays[name].sum() for name in ("paths", "path_ends", "labels", "lines"))
    connection.send((len(table), mib("VmRSS") - before, mib("VmHWM") - before))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux alone tells the memory of a process")
def test_a_list_of_many_rows_is_small_and_soon_read(tmp_path: Path):
    """200,000 rows. The old form, an object for each row, took 57 MiB of memory, 77 at most."""
    path, num_rows = tmp_path / "train.csv", 200_000
    rows = (f"train/class_{i % 400:04}/video_{i:08}_000010_020.mp4,{i % 400}\n" for i in range(num_rows))
    path.write_text("".join(rows))
    counted, resident, peak = elsewhere(measure, path)
    assert counted == num_rows
    # 13 MiB for good, and what the reader imports; docs/benchmarks/lists.md has a million rows, and how long they take.
    assert resident < 35 and peak < 50
