"""The command ``uniformer``: its subcommands, and words that are none."""

import subprocess
import sys
from pathlib import Path

import pytest

import slowfast
from slowfast.cli.main import COMMANDS
from tests.command_line import uniformer

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
