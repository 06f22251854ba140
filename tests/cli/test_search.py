"""Features that are compared were made alike: not by the same weights alone."""

import io
import json
from pathlib import Path

import pytest

from slowfast.cli.standard_output import json_line
from slowfast.inference import publish
from tests.command_line import uniformer
from tests.inference.models import small_classifier
from tests.videos import write_video


def test_the_same_weights_that_read_otherwise_are_another_model(tmp_path: Path, capsys: pytest.CaptureFixture):
    videos = [write_video(tmp_path / f"{name}.mp4", 12, height=36, width=48) for name in "ab"]
    ours = publish(small_classifier("uniformerv2"), tmp_path / "ours")
    other = publish(small_classifier("uniformerv2", changes={"DATA.CHANNEL_ORDER": "bgr"}), tmp_path / "other")
    words = [videos[0], "--device", "cpu", "--views", "1x1", "--no_verify", "--output"]
    assert uniformer("features", "--model", ours, *words, tmp_path / "ours.npz") == 0
    assert uniformer("features", "--model", other, *words, tmp_path / "other.npz") == 0
    capsys.readouterr()
    assert uniformer("search", tmp_path / "ours.npz", videos[1], "--model", other) == 2
    told = f"error: {other}: has DATA.CHANNEL_ORDER 'bgr', and {tmp_path}/ours.npz was made with 'rgb'\n"
    assert capsys.readouterr().err == told
    assert uniformer("search", tmp_path / "ours.npz", tmp_path / "other.npz", videos[0]) == 2
    assert "other.npz: was made with another DATA.CHANNEL_ORDER than " in capsys.readouterr().err
    assert uniformer("search", tmp_path / "ours.npz", videos[1], "--model", ours) == 0


def test_json_is_json_whatever_the_terminal_takes(monkeypatch: pytest.MonkeyPatch):
    content = {"path": "vid\u00e9o \udcff.mp4", "name": "\N{GRINNING FACE}\n"}
    for encoding in ("ascii", "latin-1", "utf-8"):
        output = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
        monkeypatch.setattr("sys.stdout", output)
        print(json_line(content), flush=True)
        assert json.loads(output.buffer.getvalue().decode(encoding)) == content
    assert json_line({"name": "\u00e9"}) == '{"name": "\u00e9"}'
