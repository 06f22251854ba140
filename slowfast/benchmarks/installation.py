"""What is installed on this machine, and whether it works together: what to paste into a report of a fault."""

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import av
import torch

import slowfast
from slowfast.config.shipped import experiment_configs
from slowfast.datasets.batch_transfer import SHARED_MEMORY, free_shared_bytes
from slowfast.datasets.preparation.moving_digits import write_moving_digits
from slowfast.errors import UserError
from slowfast.runtime.distribution import DISTRIBUTION, told_other_distributions
from slowfast.runtime.processes import num_cores
from slowfast.runtime.reproduce import environment_stamp

LIBRARIES = ("torch", "torchvision", "av", "numpy", "timm", "fvcore", "submitit", "safetensors")
DECODERS = {"decord": "decord", "torchcodec": "torchcodec.decoders"}
# A batch of 16 clips of 16 x 224 px is 38 MB, and each loading process keeps two of them ready.
MIN_SHARED_BYTES = 1 << 30
SELF_TEST_TIMEOUT_S = 120
_RUN = """
import sys
from slowfast.config import load_config
from slowfast.engine.run import run
from slowfast.launch.launch import launch
launch(load_config(sys.argv[1], sys.argv[2:]), run)
"""


class Finding(NamedTuple):
    """One line of the report.

    Attributes:
        name: what was looked at.
        told: what was found.
        is_bad: whether something cannot work so.
    """

    name: str
    told: str
    is_bad: bool = False


def findings() -> Iterator[Finding]:
    """Look at this installation and this machine; takes a few seconds, changes nothing."""
    stamp = environment_stamp(seed=0)
    commit = f", commit {stamp['git_commit'][:12]}" if stamp["git_commit"] else ""
    changed = ", with changes" if stamp["git_dirty"] else ""
    yield Finding("slowfast", f"{slowfast.__version__}{commit}{changed}, from {Path(slowfast.__file__).parent}")
    others = told_other_distributions()
    yield Finding("package slowfast", others or f"of {DISTRIBUTION} alone", bool(others))
    yield Finding("Python", f"{stamp['python']} on {stamp['platform']}")
    yield Finding("libraries", ", ".join(f"{name} {_version(name)}" for name in LIBRARIES))
    yield Finding("FFmpeg in PyAV", ", ".join(f"{name} {'.'.join(map(str, v))}" for name, v in _ffmpeg().items()))
    for name, module in DECODERS.items():
        yield Finding(f"decoder {name}", _whether_loads(name, module))
    yield Finding("SLURM", _slurm())
    yield Finding("GPUs", _gpus(stamp))
    yield Finding("cores", f"{num_cores()}; PyTorch computes with {stamp['cpu_threads']} threads")
    yield from _space()


def self_test() -> Finding:
    """Make a few videos, train two steps on them with a loading process and test, in a process of its own."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            write_moving_digits(folder, num_train=8, num_val=2, num_test=2)
            config = str(experiment_configs()["quickstart"])
            done = subprocess.run(
                [sys.executable, "-c", _RUN, config, *_words(folder)],
                capture_output=True,
                text=True,
                timeout=SELF_TEST_TIMEOUT_S,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        except (UserError, OSError, subprocess.TimeoutExpired) as error:
            return Finding("self-test", f"failed: {' '.join(str(error).split())}", is_bad=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "nothing was printed").splitlines()[-1]
        return Finding("self-test", f"failed with status {done.returncode}: {last}", is_bad=True)
    seconds = time.perf_counter() - began
    return Finding("self-test", f"videos written, two steps trained with a loading process, tested: {seconds:.1f} s")


def _words(folder: str) -> list[str]:
    words = ["DATA.PATH_TO_DATA_DIR", folder, "DATA.PATH_PREFIX", folder, "OUTPUT_DIR", f"{folder}/run"]
    words += ["DATA.CLASS_NAMES_FILE", f"{folder}/classes.txt", "TRAIN.BATCH_SIZE", "4", "TRAIN.EVAL_PERIOD", "1"]
    return [*words, "SOLVER.MAX_EPOCH", "1", "SOLVER.WARMUP_EPOCHS", "0"]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _ffmpeg() -> dict[str, tuple[int, ...]]:
    return {name: av.library_versions[name] for name in ("libavcodec", "libavformat")}


def _whether_loads(name: str, module: str) -> str:
    try:
        importlib.import_module(module)
    except Exception as error:  # each library has its own
        reason = str(error).strip().partition("\n")[0]
        return f"does not load ({reason}); pyav decodes without it"
    return _version(name)


def _slurm() -> str:
    if not shutil.which("sinfo"):
        return "none: sinfo is not found; submit --cluster local does without"
    return f"{_answer(['sinfo', '--version'])}; {_answer(['sinfo', '--noheader', '--format=%P: %D nodes %a'])}"


def _answer(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]} does not answer: {error}"
    if done.returncode:
        return f"{' '.join(command)} fails: {done.stderr.strip().partition(chr(10))[0]}"
    return ", ".join(done.stdout.strip().splitlines())


def _gpus(stamp: dict) -> str:
    built = f"PyTorch is built for CUDA {stamp['cuda']}" if stamp["cuda"] else "PyTorch is built without CUDA"
    if not stamp["gpus"]:
        return f"none; {built}; train with NUM_GPUS 0"
    sizes = [torch.cuda.get_device_properties(i).total_memory / 2**30 for i in range(len(stamp["gpus"]))]
    named = ", ".join(f"{name} {size:.0f} GiB" for name, size in zip(stamp["gpus"], sizes, strict=True))
    return f"{named}; {built}"


def _space() -> Iterator[Finding]:
    for name, path in (("disk here", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        yield Finding(name, f"{shutil.disk_usage(path).free / 2**30:.1f} GiB free in {path}")
    if SHARED_MEMORY.is_dir():
        free = free_shared_bytes()
        is_small = free < MIN_SHARED_BYTES
        remedy = "; loading processes need more (docker run --shm-size 8g), or DATA_LOADER.NUM_WORKERS 0"
        yield Finding("shared memory", f"{free / 2**30:.1f} GiB free{remedy if is_small else ''}", is_small)
