"""Work in processes: a crash or a hang costs one item."""

import os
import signal
import time
from pathlib import Path

import pytest

from slowfast.datasets.preparation.list_files import ResultLog, write_csv, write_lines
from slowfast.datasets.preparation.parallel import LostItem, map_unordered, worker_count
from slowfast.errors import UserError


def act(word: str) -> str:
    """Do what the word says; workers import this by name."""
    if word == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "exit":
        os._exit(3)
    if word == "hang":
        time.sleep(60)
    if word == "raise":
        raise RuntimeError("a defect")
    return word.upper()


def test_without_processes_results_come_in_order():
    assert list(map_unordered(act, ["a", "b"], num_workers=0)) == [(0, "A"), (1, "B")]


@pytest.mark.slow
def test_a_crash_and_a_hang_cost_their_items_alone():
    words = ["a", "crash", "b", "exit", "hang", *"cdefgh"]
    results = dict(map_unordered(act, words, num_workers=2, timeout_s=1.0))
    assert results.pop(1) == LostItem("its process ended with SIGSEGV")
    assert results.pop(3) == LostItem("its process ended with status 3")
    assert results.pop(4) == LostItem("took longer than 1 s")
    assert results == {idx: words[idx].upper() for idx in (0, 2, 5, 6, 7, 8, 9, 10)}


def test_an_exception_reaches_the_caller():
    with pytest.raises(RuntimeError, match="a defect"):
        list(map_unordered(act, ["a", "raise"], num_workers=1))


def test_no_items_need_no_process():
    assert list(map_unordered(act, [], num_workers=3)) == []


def test_worker_counts():
    assert worker_count("0") == 0
    for text in ("-1", "two"):
        with pytest.raises(ValueError):
            worker_count(text)


# Files


def test_a_log_goes_on_from_an_earlier_run_and_forgets_a_torn_line(tmp_path: Path):
    path = tmp_path / "results" / "log.jsonl"
    with ResultLog(path) as log:
        log.add("über", "")
        log.add("b", 3)
    path.write_text(path.read_text() + '["c", 4')
    with ResultLog(path) as log:
        assert log.results == {"über": "", "b": 3}
        log.add("b", 5)
    with ResultLog(path) as log:
        assert log.results == {"über": "", "b": 5}


def test_another_file_is_no_log(tmp_path: Path):
    (tmp_path / "log").write_text("a.mp4,1\n")
    with pytest.raises(UserError, match="log:1: is not from an earlier run; move the file away"):
        ResultLog(tmp_path / "log")


def test_lists_are_written_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "lists" / "train.csv"
    write_lines(path, ["a", "b"])

    def lines():
        yield "c"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_lines(path, lines())
    assert path.read_text() == "a\nb\n" and os.listdir(path.parent) == ["train.csv"]


def test_commas_in_csv_files_are_quoted(tmp_path: Path):
    write_csv(tmp_path / "x.csv", ("path", "cause"), [("a, b.mp4", 'no "stream"')])
    assert (tmp_path / "x.csv").read_text() == 'path,cause\n"a, b.mp4","no ""stream"""\n'
