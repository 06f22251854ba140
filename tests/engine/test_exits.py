"""Every way out of a run, with processes that load data: in bounded time, in one line, and nobody is left behind."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.command_line import ROOT, RUN_NET, Outcome, tiny_arguments
from tests.engine.test_interruption import assert_same_run, num_lines
from tests.videos import rename_codec

PARTS = Path(__file__).with_name("faulty_parts.py")
LIMIT_S = 300  # generous, on cores that others use, too
FAULTY = [
    *("TRAIN.BATCH_SIZE", 2, "SOLVER.MAX_EPOCH", 2, "TEST.ENABLE", "False", "DATA_LOADER.NUM_WORKERS", 1),
    *("AUG.ENABLE", "True", "AUG.EXTRA_TRANSFORMS", "['faulty']", "MODEL.LOSS_FUNC", "faulty"),
]


@dataclass
class Run:
    """A run of run_net in a session of its own, and the folder that it writes to."""

    process: subprocess.Popen
    output_dir: Path
    mark: Path

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, "timed out"
            time.sleep(0.01)

    def end(self) -> Outcome:
        """Wait for the end, within the limit; none of its processes may outlive it."""
        out, err = self.process.communicate(timeout=LIMIT_S)
        deadline = time.monotonic() + 5  # those that notice the end of the parent by themselves
        while left := members(self.process.pid):
            assert time.monotonic() < deadline, f"left behind: {left}"
            time.sleep(0.05)
        return Outcome(self.process.returncode, out, err)


def members(session: int) -> list[int]:
    """Processes of a session that are more than entries in a table."""
    found = []
    for path in Path("/proc").iterdir():
        with suppress(OSError):
            state, *numbers = (path / "stat").read_text().rpartition(")")[2].split()
            if path.name.isdigit() and state not in "ZX" and int(numbers[2]) == session:
                found.append(int(path.name))
    return found


@contextmanager
def started(
    video_set: Path,
    folder: Path,
    *overrides: object,
    fault: str = "",
    num_processes: int = 1,
    command: tuple[object, ...] = (),
    prepare: Callable[[], None] | None = None,
) -> Iterator[Run]:
    """A run with a fault, under another command if one is given; all its processes are killed at the end."""
    output_dir, mark = folder / "run", folder / "mark"
    words = [*command, sys.executable, RUN_NET, "--plugins", PARTS]
    words += tiny_arguments(video_set, output_dir, *FAULTY, *overrides)
    process = subprocess.Popen(
        [str(word) for word in words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "FAULT": fault, "FAULT_MARK": str(mark)}
        | ({"LOCAL_WORLD_SIZE": str(num_processes)} if num_processes > 1 else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=prepare,
    )
    try:
        yield Run(process, output_dir, mark)
    finally:
        for pid in members(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


@dataclass(frozen=True)
class Exit:
    """A way out: how it comes about, and what is left to see.

    Attributes:
        error: what the one line of standard error says, or the last line after a traceback; "" for nothing at all.
        fault: of faulty_parts.py.
        number: signal that the job receives; once three steps are logged, and where a process hangs, once it does.
        prepare: called in the new process before it becomes the run; None for nothing.
        mount_kib: size of a file system of its own that is mounted over OUTPUT_DIR; 0 for none.
    """

    status: int
    error: str = ""
    fault: str = ""
    overrides: tuple = ()
    number: signal.Signals | None = None
    prepare: Callable[[], None] | None = None
    mount_kib: int = 0


def allow_few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))


LONG = ("SOLVER.MAX_EPOCH", 500, "TRAIN.EVAL_PERIOD", 500, "TRAIN.CHECKPOINT_PERIOD", 500)
KILLED = (
    r"a loading process was killed by SIGKILL \(out of memory\?\); if memory is short, lower DATA_LOADER.NUM_WORKERS 1 "
    r"or the batch, or ask for more of it"
)
EXITS = {
    "exception in the model": Exit(1, "ZeroDivisionError: a defect of a model", fault="model defect"),
    "exception in a transform": Exit(1, "ZeroDivisionError: a defect of a transform", fault="worker defect"),
    "killed loading process": Exit(1, KILLED, fault="worker killed"),
    "unknown codec": Exit(
        1,
        r".*could not be read.*; the last is \S+/train_0.mp4: its video stream has a codec that FFmpeg .*",
    ),
    "full disk": Exit(1, r".*cannot be written \(.*No space left on device.*", mount_kib=200),
    "few open files": Exit(
        1, r"too many open files: the limit of a process is 20; raise it .*", prepare=allow_few_files
    ),
    "Ctrl-C": Exit(130, overrides=LONG, number=signal.SIGINT),
    "closed terminal": Exit(129, overrides=LONG, number=signal.SIGHUP),
    "SIGTERM": Exit(0, overrides=LONG, number=signal.SIGTERM),
    "SIGTERM while a process hangs": Exit(
        0, overrides=(*LONG, "STOP_TIMEOUT_S", 2), fault="worker hangs", number=signal.SIGTERM
    ),
}
IN_TWO_PROCESSES = ("exception in the model", "killed loading process", "Ctrl-C", "SIGTERM while a process hangs")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "num_processes"), [*((name, 1) for name in EXITS), *((name, 2) for name in IN_TWO_PROCESSES)]
)
def test_a_run_ends_soon_in_one_line_and_leaves_nobody_behind(
    name: str, num_processes: int, video_set: Path, tmp_path: Path
):
    way = EXITS[name]
    if name == "unknown codec":
        video_set = Path(shutil.copytree(video_set, tmp_path / "videos"))
        rename_codec(video_set / "videos" / "train_0.mp4")
    with started(
        *(video_set, tmp_path, *way.overrides),
        fault=way.fault,
        num_processes=num_processes,
        prepare=way.prepare,
        command=mounted(tmp_path / "run", way.mount_kib) if way.mount_kib else (),
    ) as run:
        if way.number is not None:
            run.wait_until(lambda: run.mark.exists() if way.fault else num_lines(run.output_dir) >= 3)
            os.killpg(run.process.pid, way.number)  # as a terminal and a scheduler do
        outcome = run.end()
    assert outcome.code == way.status, outcome
    if way.number is not None:
        assert outcome.err == ""
        assert (
            outcome.out.count(f"stopped by {way.number.name}; the same command resumes from the last checkpoint") == 1
        )
        is_saved = (run.output_dir / "checkpoints" / "checkpoint_last.pyth").exists()
        assert is_saved or (way.fault and num_processes == 2)  # one of two waits in the middle of the other's step
    elif "Error" in way.error:
        assert outcome.err.rstrip().endswith(way.error)
    else:
        assert re.fullmatch(way.error, outcome.error) and outcome.err.count("\n") == 1, outcome.err


def mounted(folder: Path, size_kib: int) -> list[object]:
    """A command that runs another one where a folder is a file system of its own, in memory and of some size."""
    try:
        subprocess.run(["unshare", "--mount", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting is not permitted")
    folder.mkdir(exist_ok=True)
    script = f'mount -t tmpfs -o size={size_kib}k tmpfs "$0" && exec "$@"'
    return ["unshare", "--mount", "bash", "-c", script, folder]


@pytest.mark.slow
def test_a_run_that_stops_while_it_waits_for_a_batch_resumes_as_if_it_had_not(video_set: Path, tmp_path: Path):
    with started(video_set, tmp_path / "whole") as run:
        whole = run.end()
    assert whole.code == 0, whole.err
    with started(video_set, tmp_path, "STOP_TIMEOUT_S", 2, fault="worker hangs") as run:
        run.wait_until(lambda: run.mark.exists() and num_lines(run.output_dir) == 2)
        os.kill(run.process.pid, signal.SIGTERM)
        outcome = run.end()
    assert (outcome.code, outcome.err) == (0, "")
    content = torch.load(run.output_dir / "checkpoints" / "checkpoint_last.pyth", weights_only=True)
    assert (content["epoch"], content["step"]) == (-1, 2)
    with started(video_set, tmp_path) as run:
        outcome = run.end()
    assert "0 epochs and 2 steps done" in outcome.out and outcome.code == 0
    assert_same_run(tmp_path / "whole" / "run", run.output_dir)


@pytest.mark.slow
def test_shared_memory_that_is_too_small_is_told_and_ends_nothing(video_set: Path, tmp_path: Path):
    """Two batches of 4.6 MiB fit, and six are on their way."""
    size = ["TRAIN.BATCH_SIZE", 4, "DATA.TRAIN_CROP_SIZE", 224, "DATA.NUM_FRAMES", 8, "DATA_LOADER.NUM_WORKERS", 2]
    size += ["DATA.TRAIN_JITTER_SCALES", "[224, 240]"]
    with started(video_set, tmp_path, *size, command=mounted(Path("/dev/shm"), 14 * 1024)) as run:
        outcome = run.end()
    assert (outcome.code, outcome.err) == (0, "")
    told = (
        r"WARNING /dev/shm has 14 MiB free, and batches on their way may take \d+ MiB \(\d of 4\.6 MiB for each of 1 "
    )
    assert len(re.findall(told, outcome.out)) == 1
