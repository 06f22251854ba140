"""The training tool as its users call it: in this process, which saves the imports, or in one of its own."""

import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from tests.process_state import process_state_kept

ROOT = Path(__file__).parents[2]
RUN_NET = ROOT / "tools" / "run_net.py"
CONFIG = Path(__file__).parent / "tiny.yaml"
_FROM_TORCHRUN = ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Outcome:
    """Exit status and what was printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a user's mistake; fails if there are several, none, or a traceback."""
        assert "Traceback" not in self.out + self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert self.code != 0 and len(lines) == 1, f"status {self.code}, standard error:\n{self.err}"
        return lines[0].removeprefix("error: ")


def tiny_arguments(video_set: Path, output_dir: Path, *overrides: object) -> list[str]:
    """``--cfg`` of the tiny config, where its data and output are, and overrides."""
    paths = ["DATA.PATH_TO_DATA_DIR", video_set, "DATA.PATH_PREFIX", video_set, "OUTPUT_DIR", output_dir]
    return ["--cfg", str(CONFIG), *map(str, [*paths, *overrides])]


def run_net(*arguments: object) -> Outcome:
    """Run tools/run_net.py in this process; an exception other than its exit is a defect and goes through."""
    out, err = StringIO(), StringIO()
    environment = {name: value for name, value in os.environ.items() if name not in _FROM_TORCHRUN}
    code: int | str | None = 0
    with (
        process_state_kept(),
        patch.object(sys, "argv", [str(RUN_NET), *map(str, arguments)]),
        patch.dict(os.environ, environment, clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            runpy.run_path(str(RUN_NET), run_name="__main__")
        except SystemExit as stop:
            code = stop.code
    return Outcome(code if isinstance(code, int) else int(code is not None), out.getvalue(), err.getvalue())


def start(command: Sequence[object], *, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> subprocess.Popen:
    """Start a command with this Python's environment, one thread a process, output to pipes."""
    own = {name: value for name, value in os.environ.items() if name not in _FROM_TORCHRUN}
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env={**own, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen, timeout_s: float = 120) -> Outcome:
    """Wait for what ``start`` started; it is killed after the time limit."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Outcome(process.returncode, out, err)
