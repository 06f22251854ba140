"""Traces of small trainings, the proof that a change of the code leaves the figures alone; and how to record them.

python -m tests.engine.loss_traces [NAME ...] records anew what tests/golden/traces holds, and says how much it moved.
"""

import argparse
import hashlib
import json
import platform
import re
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import numpy as np
import torch
from torchvision.transforms.v2.functional import resize

from tests.command_line import run_net
from tests.process_state import process_state_kept
from tests.videos import write_list

TRACES_DIR = Path(__file__).parents[1] / "golden" / "traces"
# Name of a trace -> (config beside it, step at which the run is asked to stop, to be started again; None for none).
# That is in the middle of the third epoch, where the EMA has begun.
TRACES = {"uniformer": ("uniformer", None), "uniformerv2": ("uniformerv2", None), "resumed": ("uniformerv2", 9)}
# Elsewhere than where a trace was recorded, this many steps agree to this relative difference.
NUM_CLOSE_STEPS, CLOSE = 5, 1e-4
NUM_CLASSES, NUM_TRAIN, NUM_VAL = 4, 16, 4
# What computes a clip and a step; another release of one may round otherwise.
_LIBRARIES = ("torch", "torchvision", "numpy", "pillow")
_INSTRUCTIONS = re.compile(r"(sse|ssse|avx|amx|fma|f16c|bmi|asimd|sve)\w*")


@dataclass(frozen=True)
class Trace:
    """What one run computed, and where.

    Attributes:
        place: versions of libraries, kind of CPU, number of threads, and ``inputs`` of that CPU, by name.
        steps: (loss, gradient norm) of each step, exact.
        weights_sha256: of the final weights and their EMA.
    """

    place: dict[str, Any]
    steps: list[tuple[float, float]]
    weights_sha256: str

    def dump(self) -> str:
        """As JSON, a line for each step; Python reads the same floats back."""
        fields = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in self.place.items()]
        steps = enumerate(self.steps, 1)
        lines = [f'  {{"step": {i}, "loss": {loss!r}, "grad_norm": {norm!r}}}' for i, (loss, norm) in steps]
        fields += [' "steps": [\n' + ",\n".join(lines) + "\n ]", f' "weights_sha256": "{self.weights_sha256}"']
        return "{\n" + ",\n".join(fields) + "\n}\n"


def load_trace(name: str) -> Trace:
    """Read tests/golden/traces/<name>.json."""
    content = json.loads((TRACES_DIR / f"{name}.json").read_text())
    steps = [(step["loss"], step["grad_norm"]) for step in content.pop("steps")]
    return Trace(steps=steps, weights_sha256=content.pop("weights_sha256"), place=content)


def is_comparable(recorded: Trace, found: Trace) -> bool:
    """Whether both came from the same random masks and pixels, but for rounding.

    PyTorch without MKL draws other dropout masks, and torchvision resizes uint8 in floating point where the CPU has
    neither AVX2 nor Arm's instructions. Losses then differ from the first step on, with the same code.
    """
    return recorded.place["inputs"] == found.place["inputs"]


def difference(recorded: Trace, found: Trace) -> str | None:
    """What keeps a trace from being the recorded one: one line, or None.

    Where versions, CPU and threads are those of the recording, every bit counts; elsewhere ``NUM_CLOSE_STEPS`` steps
    agree to ``CLOSE``.
    """
    is_same_place = recorded.place == found.place
    where = "the place of the recording" if is_same_place else f"another place ({_other_place(recorded, found)})"
    if len(recorded.steps) != len(found.steps):
        return f"{len(found.steps)} steps, and {len(recorded.steps)} were recorded"
    for i, (old, new) in enumerate(zip(recorded.steps, found.steps, strict=True), 1):
        for name, was, now in zip(("loss", "grad_norm"), old, new, strict=True):
            is_equal = was == now if is_same_place else i > NUM_CLOSE_STEPS or abs(now - was) <= CLOSE * abs(was)
            if not is_equal:
                return f"step {i}: {name} is {now!r} and was {was!r} (relative {abs(now / was - 1):.2g}), at {where}"
    if is_same_place and recorded.weights_sha256 != found.weights_sha256:
        return "the final weights differ; no loss does"
    return None


def _other_place(recorded: Trace, found: Trace) -> str:
    names = [name for name, value in recorded.place.items() if value != found.place[name]]
    return "; ".join(f"{name} {found.place[name]}, recorded with {recorded.place[name]}" for name in names)


# Videos


def lossless_pixels(number: int, num_frames: int = 12, height: int = 40, width: int = 48) -> np.ndarray:
    """The frames of a video, uint8 (T, height, width, 3): a moving, coloured pattern, in integers."""
    t, y, x, c = np.ogrid[:num_frames, :height, :width, :3]
    waves = (x + (number % NUM_CLASSES - 1) * t * 2) ** 2 // 7 + (y + number) ** 2 // (5 + c) + 60 * c + 37 * number
    return (np.abs(waves % 510 - 255)).astype(np.uint8)


def write_lossless(path: Path, frames: np.ndarray) -> None:
    """Write uint8 frames (T, H, W, 3) as FFV1, whose decoder gives the same bytes back whoever encoded them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0"  # the same bytes in another order: no colour is computed
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_lossless_set(root: Path) -> Path:
    """Write ``train.csv``, ``val.csv`` and their videos; returns ``root``."""
    for first, (split, num_videos) in zip((0, 100), (("train", NUM_TRAIN), ("val", NUM_VAL)), strict=True):
        rows = [(f"{split}_{i}.mkv", i % NUM_CLASSES) for i in range(num_videos)]
        for i, (name, _) in enumerate(rows):
            write_lossless(root / name, lossless_pixels(first + i))
        write_list(root / f"{split}.csv", rows, separator=" ")
    return root


# Runs


def trace_run(name: str, video_set: Path, output_dir: Path, *overrides: object) -> Trace:
    """Train as ``TRACES`` says, through tools/run_net.py, and gather what it computed.

    Args:
        name: of the trace.
        video_set: what ``write_lossless_set`` wrote.
        output_dir: of the run; empty or not there yet.
        overrides: KEY VALUE pairs.
    """
    config, stop_step = TRACES[name]
    paths = ["DATA.PATH_TO_DATA_DIR", video_set, "DATA.PATH_PREFIX", video_set, "OUTPUT_DIR", output_dir]
    arguments = ["--cfg", TRACES_DIR / f"{config}.yaml", *paths, *overrides]
    if stop_step is not None:
        steps = count(1)
        # As by a signal, but always at the same step.
        with patch("slowfast.engine.train.stop_signal", lambda: signal.SIGTERM if next(steps) >= stop_step else None):
            outcome = run_net(*arguments)
        assert outcome.code == 0 and "stopped by SIGTERM" in outcome.out, outcome
    outcome = run_net(*arguments)
    assert outcome.code == 0, outcome
    assert stop_step is None or re.search("resuming from .* 2 epochs and [123] steps done", outcome.out), outcome.out
    lines = map(json.loads, (output_dir / "metrics.jsonl").read_text().splitlines())
    steps = [(line["loss"], line["grad_norm"]) for line in lines if line["kind"] == "train"]
    num_threads = json.loads((output_dir / "environment.json").read_text())["cpu_threads"]
    content = torch.load(output_dir / "checkpoints" / "checkpoint_last.pyth", weights_only=True)
    return Trace(_place(num_threads), steps, _sha256(content["model_state"], content["ema_state"] or {}))


def _place(num_threads: int) -> dict[str, Any]:
    versions = {name: version(name) for name in _LIBRARIES} | {"torch": str(torch.__version__)}
    return {**versions, "cpu": _kind_of_cpu(), "num_threads": num_threads, "inputs": _inputs_sha256()}


def _inputs_sha256() -> str:
    """Of a mask that PyTorch draws and of an image that torchvision resizes, both apart from our code."""
    with process_state_kept():
        torch.manual_seed(0)
        mask = torch.empty(256).bernoulli_(0.5)
    return _sha256({"mask": mask, "image": resize(torch.from_numpy(lossless_pixels(0)[0]).movedim(-1, 0), [29, 31])})


def _kind_of_cpu() -> str:
    """What decides which loops PyTorch and its libraries take: model and instruction sets."""
    kind = [platform.machine(), torch.backends.cpu.get_cpu_capability()]
    path = Path("/proc/cpuinfo")
    if path.is_file():
        first = path.read_text().partition("\n\n")[0]
        facts = dict(map(str.strip, line.split(":", 1)) for line in first.splitlines() if ":" in line)
        kind += [facts[key] for key in ("model name", "cpu family", "model", "stepping") if key in facts]
        flags = facts.get("flags", facts.get("Features", "")).split()
        kind += sorted(flag for flag in flags if _INSTRUCTIONS.fullmatch(flag))
    return " ".join(kind)


def _sha256(*state_dicts: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for weights in state_dicts:
        for name, value in weights.items():
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


# Recording


def record(name: str, video_set: Path, output_dir: Path) -> str:
    """Record one trace anew; returns a line that says how much it moved, relative to what was recorded."""
    path = TRACES_DIR / f"{name}.json"
    found, old = trace_run(name, video_set, output_dir), load_trace(name) if path.is_file() else None
    path.write_text(found.dump())
    if old is None:
        return f"{path}: new"
    if old == found:
        return f"{path}: the same, bit by bit"
    pairs = zip(old.steps, found.steps, strict=False)
    moved = [max(abs(now / was - 1) for was, now in zip(*step, strict=True)) for step in pairs]
    if not any(moved):
        return f"{path}: every step is the same; the weights or the place are not"
    first, close = next(i for i, part in enumerate(moved, 1) if part), max(moved[:NUM_CLOSE_STEPS])
    told = f"moved by {close:.2g} over the first {NUM_CLOSE_STEPS} steps, {max(moved):.2g} over all"
    return f"{path}: {told}; first at step {first}"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Record the traces of tests/golden/traces anew.")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(TRACES)} (default: all)")
    names = parser.parse_args(argv).names or list(TRACES)
    if unknown := [name for name in names if name not in TRACES]:
        parser.error(f"{unknown[0]!r} is no trace; accepted: {', '.join(TRACES)}")
    with tempfile.TemporaryDirectory() as folder:
        (videos := Path(folder, "videos")).mkdir()
        write_lossless_set(videos)
        for name in names:
            print(record(name, videos, Path(folder, name)))


if __name__ == "__main__":
    main()
