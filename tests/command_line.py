"""The tools as their users call them: in this process, which saves the imports, or in one of their own."""

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import torch
from fvcore.common.config import CfgNode

from slowfast.cli.main import main
from slowfast.config import load_config
from tests.process_state import process_state_kept

ROOT = Path(__file__).parents[1]
RUN_NET = ROOT / "tools" / "run_net.py"
CONFIG = Path(__file__).parent / "tiny.yaml"
# A program that becomes another one, on the cores that its first argument names.
_ON_CORES = (
    "import os, sys; os.sched_setaffinity(0, map(int, sys.argv[1].split(','))); os.execvp(sys.argv[2], sys.argv[2:])"
)
# This repository's package comes first; what else is on the path stays.
_PYTHONPATH = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
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


def uniformer(*words: object) -> int:
    """Run the command ``uniformer`` in this process, and return its exit status."""
    try:
        main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code or 0
    return 0


def tiny_arguments(video_set: Path, output_dir: Path, *overrides: object) -> list[str]:
    """``--cfg`` of the tiny config, where its data and output are, and overrides."""
    paths = ["DATA.PATH_TO_DATA_DIR", video_set, "DATA.PATH_PREFIX", video_set, "OUTPUT_DIR", output_dir]
    return ["--cfg", str(CONFIG), *map(str, [*paths, *overrides])]


def tiny_config(video_set: Path, output_dir: Path, *overrides: object) -> CfgNode:
    """The config of ``tiny_arguments``."""
    return load_config(CONFIG, tiny_arguments(video_set, output_dir, *overrides)[2:])


def run_net(*arguments: object) -> Outcome:
    """Run tools/run_net.py in this process, as one that torchrun has not started."""
    environment = {name: value for name, value in os.environ.items() if name not in _FROM_TORCHRUN}
    with patch.dict(os.environ, environment, clear=True):
        return run_tool("run_net", *arguments)


def run_tool(name: str, *arguments: object) -> Outcome:
    """Run tools/<name>.py in this process; an exception other than its exit is a defect and goes through."""
    path = ROOT / "tools" / f"{name}.py"
    out, err = StringIO(), StringIO()
    code: int | str | None = 0
    set_num_threads = torch.set_num_threads
    with (
        process_state_kept(),
        # A model this small gains nothing from more threads, and where cores are shared they wait for each other.
        patch.object(torch, "set_num_threads", lambda number: set_num_threads(1)),
        patch.object(sys, "argv", [str(path), *map(str, arguments)]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stop:
            code = stop.code
            if isinstance(code, str):  # which Python prints
                err.write(f"{code}\n")
    return Outcome(code if isinstance(code, int) else int(code is not None), out.getvalue(), err.getvalue())


def run_commands(
    *commands: Sequence[object],
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 300,
    meanwhile: Callable[[list[int]], None] | None = None,
) -> list[Outcome]:
    """Run commands at the same time, sharing the cores, and wait for all; past the time limit they are killed.

    Args:
        commands: words of each command.
        cwd: directory to start in.
        environment: variables beside those of this process.
        timeout_s: for all of them together.
        meanwhile: called with the ids of the processes once all are started.
    """
    own = {name: value for name, value in os.environ.items() if name not in _FROM_TORCHRUN}
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    num_cores = max(len(cores) // len(commands), 1)
    running: list[subprocess.Popen] = []
    try:
        for i, command in enumerate(commands):
            # Else each would compute on all cores, and threads that wait for each other take many times as long.
            share = {cores[(i * num_cores + k) % len(cores)] for k in range(num_cores)} if cores else set()
            words = [sys.executable, "-c", _ON_CORES, ",".join(map(str, share))] if cores else []
            running.append(
                subprocess.Popen(
                    [*words, *map(str, command)],
                    cwd=cwd,
                    env={**own, "PYTHONPATH": _PYTHONPATH, **(environment or {})},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
            )
        deadline = time.monotonic() + timeout_s
        if meanwhile is not None:
            meanwhile([process.pid for process in running])
        printed = [process.communicate(timeout=max(deadline - time.monotonic(), 1)) for process in running]
        return [Outcome(process.returncode, *texts) for process, texts in zip(running, printed, strict=True)]
    finally:
        for process in running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
