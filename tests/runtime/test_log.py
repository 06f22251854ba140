"""Console and file log, and the progress bar."""

import logging
import re
import sys
from pathlib import Path

import pytest

from slowfast.runtime import distributed, log

LINE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO epoch 1"


def test_the_log_goes_to_the_console_and_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    log.setup_logging(tmp_path)
    logging.getLogger("slowfast.engine.train").info("epoch %d", 1)
    captured = capsys.readouterr()
    assert re.fullmatch(LINE + "\n", captured.out) and captured.err == ""
    assert re.fullmatch(LINE + "\n", (tmp_path / "log.txt").read_text())


def test_setting_up_again_does_not_double_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    log.setup_logging(None)
    log.setup_logging(tmp_path)
    log.setup_logging(tmp_path)
    logging.getLogger("slowfast").info("epoch 1")
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 1


def test_other_ranks_show_warnings_with_their_rank_and_write_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(distributed, "rank", lambda: 2)
    log.setup_logging(tmp_path)
    logging.getLogger("slowfast").info("not shown")
    logging.getLogger("slowfast").warning("shown")
    assert re.fullmatch(r"\[rank 2\] .* WARNING shown\n", capsys.readouterr().out)
    assert list(tmp_path.iterdir()) == []


def test_progress_passes_items_on_and_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]):
    assert list(log.progress(iter("abc"), "reading", 3)) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_progress_shows_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(log.progress(iter("abc"), "reading", 3)) == ["a", "b", "c"]
    captured = capsys.readouterr()
    assert "reading" in captured.err and captured.out == ""
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    list(log.progress(iter("abc"), "reading", 3))
    assert capsys.readouterr().err == ""
