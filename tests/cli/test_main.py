"""The command ``uniformer``: its subcommands, and words that are none."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

import slowfast
from slowfast.cli.main import COMMANDS
from slowfast.inference import publish
from tests.command_line import uniformer
from tests.inference.models import small_classifier

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_help_names_every_command(words: list[str], capsys: pytest.CaptureFixture):
    assert uniformer(*words) == 0
    lines = capsys.readouterr().out.splitlines()
    told = {line[2:].partition("  ")[0] for line in lines if line.startswith("  ")}
    assert told == set(COMMANDS)


def test_version(capsys: pytest.CaptureFixture):
    assert uniformer("--version") == 0
    assert capsys.readouterr().out == f"uniformer-video {slowfast.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_how_it_is_called(name: str, capsys: pytest.CaptureFixture):
    assert uniformer(*name.split(), "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: uniformer {name} ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["confg", "--diff"],
            "uniformer confg: there is no such command; the nearest is config; uniformer -h lists all",
        ),
        (
            ["data"],
            "uniformer data: accepted: data lists, data check, data transcode, data kinetics710, data digits",
        ),
        (
            ["benchmark", "modell"],
            "uniformer benchmark modell: accepted: benchmark model, benchmark train, benchmark data, benchmark stream",
        ),
    ],
)
def test_other_words_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture):
    assert uniformer(*words) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


def test_a_command_does_what_its_tool_does(capsys: pytest.CaptureFixture):
    words = ["--cfg", str(ROOT / "exp" / "quickstart" / "config.yaml"), "--diff"]
    assert uniformer("config", *words) == 0
    tool = subprocess.run(
        [sys.executable, ROOT / "tools" / "show_config.py", *words], capture_output=True, text=True, check=True
    )
    assert capsys.readouterr().out == tool.stdout


def test_every_tool_is_a_command():
    tools = {path.stem for path in (ROOT / "tools").rglob("*.py")}
    assert tools <= {command.module.rpartition(".")[2] for command in COMMANDS.values()}


def test_another_distribution_of_our_package_is_told(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture):
    other = tmp_path / "pyslowfast-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: pyslowfast\nVersion: 1.0\n")
    (other / "top_level.txt").write_text("slowfast\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert uniformer("config", "--diff") == 0
    assert capsys.readouterr().err == (
        "warning: the package slowfast is installed by pyslowfast, too, and the files of both mix; pip uninstall "
        "pyslowfast uniformer-video, then install uniformer-video again\n"
    )


STOPS = [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143), (signal.SIGHUP, "SIGHUP", 129)]


@pytest.mark.parametrize(("number", "told", "status"), STOPS)
def test_a_signal_unwinds_a_command(
    number: int, told: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    """What it has begun is removed, also where a second signal follows the first at once, as from a scheduler."""
    removed = []

    def work(words: Sequence[str], prog: str) -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        finally:
            if number != signal.SIGINT:
                os.kill(os.getpid(), number)
            removed.append("its temporary files")

    monkeypatch.setitem(sys.modules, "slowfast.cli.predict", SimpleNamespace(main=work))
    before = signal.getsignal(number)
    assert uniformer("predict") == status
    assert capsys.readouterr().err == f"stopped by {told}\n" and removed == ["its temporary files"]
    assert signal.getsignal(number) == before


@pytest.mark.slow
@pytest.mark.parametrize(("number", "told", "status"), STOPS[:2])
def test_a_stopped_process_leaves_nothing_half_done(number: int, told: str, status: int, tmp_path: Path):
    """Stopped while it imports, and in the middle of its work."""
    model = publish(small_classifier("uniformerv2"), tmp_path / "model")
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "tmp")}
    words = ["-c", "from slowfast.cli.main import main; main()", "export", "n.pt2", "--to", "torch", "--model", model]
    for is_at_work in (False, True):
        command = [sys.executable, *map(str, words)]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not _has_begun(process.pid, tmp_path, is_at_work=is_at_work):
            time.sleep(0.01)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (status, f"stopped by {told}\n")
        assert {path.name for path in tmp_path.iterdir()} == {"model", "tmp"}


def _has_begun(pid: int, folder: Path, *, is_at_work: bool) -> bool:
    """Whether a process imports PyTorch, or has begun to write."""
    if is_at_work:
        return any(folder.glob(".n.pt2*"))
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text()
