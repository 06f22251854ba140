"""Small trainings repeat what was recorded of them: bit by bit where it was recorded, closely elsewhere."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from slowfast.datasets.reading.video_reader import VideoReader
from tests.engine import loss_traces
from tests.engine.loss_traces import (
    CLOSE,
    NUM_CLOSE_STEPS,
    TRACES,
    Trace,
    difference,
    is_comparable,
    load_trace,
    lossless_pixels,
    record,
    trace_run,
    write_lossless_set,
)


@pytest.fixture(scope="module")
def lossless_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lossless_set(tmp_path_factory.mktemp("lossless"))


@pytest.fixture(scope="module")
def found(lossless_set: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trace]:
    """What the current code computes, by the name of the trace."""
    folder = tmp_path_factory.mktemp("traces")
    return {name: trace_run(name, lossless_set, folder / name) for name in TRACES}


def test_lossless_videos_are_read_as_they_were_drawn(lossless_set: Path):
    """Else a trace would tell of an encoder."""
    for name, number in (("train_0", 0), ("train_7", 7), ("val_3", 103)):
        with VideoReader(lossless_set / f"{name}.mkv") as reader:
            frames = reader.read(range(reader.num_frames))
        np.testing.assert_array_equal(frames, lossless_pixels(number))
        assert len(np.unique(frames)) > 200 and (frames[0] != frames[-1]).any() == (number % 4 != 1)


@pytest.mark.parametrize("name", TRACES)
def test_a_run_repeats_its_trace(name: str, found: dict[str, Trace]):
    assert len(found[name].steps) == 20 and found[name].place["num_threads"] == 1
    recorded = load_trace(name)
    if not is_comparable(recorded, found[name]):
        pytest.skip("PyTorch or torchvision draws or resizes otherwise on this CPU")
    told = difference(recorded, found[name])
    assert told is None, f"{told}; if that is meant: python -m tests.engine.loss_traces {name}"


def test_a_resumed_run_has_the_trace_of_a_whole_one(found: dict[str, Trace]):
    assert found["resumed"] == found["uniformerv2"]
    assert load_trace("resumed") == load_trace("uniformerv2")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("uniformer", ["SOLVER.BASE_LR", 1.01e-3]),
        ("uniformer", ["MIXUP.ALPHA", 0.808]),
        ("uniformerv2", ["MODEL.EMA_DECAY", 0.909]),
    ],
)
def test_a_slightly_other_run_has_another_trace(
    name: str, overrides: list, found: dict[str, Trace], lossless_set: Path, tmp_path: Path
):
    """A trace that such changes leave alone would prove nothing."""
    other = trace_run(name, lossless_set, tmp_path / "run", *overrides)
    assert difference(found[name], other) is not None


# The rule


PLACE = {"torch": "2.14.1", "cpu": "x86_64 AVX512", "num_threads": 1, "inputs": "c" * 64}
RECORDED = Trace(PLACE, [(2.0 - i / 16, 1.0 + i / 16) for i in range(8)], "a" * 64)


def with_step(trace: Trace, number: int, factor: float) -> Trace:
    """The same with another loss at a step, counted from 1."""
    steps = [(loss * factor, norm) if i == number else (loss, norm) for i, (loss, norm) in enumerate(trace.steps, 1)]
    return replace(trace, steps=steps)


def test_where_it_was_recorded_every_bit_counts():
    assert difference(RECORDED, RECORDED) is None
    told = "step 8: loss is 1.5625000000000004 and was 1.5625 (relative 2.2e-16), at the place of the recording"
    assert difference(RECORDED, with_step(RECORDED, 8, 1 + 2**-52)) == told
    assert difference(RECORDED, replace(RECORDED, weights_sha256="b" * 64)) == "the final weights differ; no loss does"
    assert difference(RECORDED, replace(RECORDED, steps=RECORDED.steps[:7])) == "7 steps, and 8 were recorded"


@pytest.mark.parametrize("change", [{"torch": "2.15.0"}, {"cpu": "aarch64 DEFAULT"}, {"num_threads": 2}])
def test_elsewhere_the_first_steps_are_close(change: dict):
    elsewhere = replace(RECORDED, place=PLACE | change, weights_sha256="b" * 64)
    assert difference(RECORDED, with_step(elsewhere, NUM_CLOSE_STEPS, 1 + 0.9 * CLOSE)) is None
    assert difference(RECORDED, with_step(elsewhere, NUM_CLOSE_STEPS + 1, 1.5)) is None
    told = difference(RECORDED, with_step(elsewhere, NUM_CLOSE_STEPS, 1 + 1.1 * CLOSE))
    ((name, value),) = change.items()
    assert told.startswith(f"step {NUM_CLOSE_STEPS}: loss is ") and told.endswith(
        f"at another place ({name} {value}, recorded with {PLACE[name]})"
    )


def test_only_where_inputs_are_the_same_are_losses():
    assert is_comparable(RECORDED, replace(RECORDED, place=PLACE | {"torch": "2.15.0", "num_threads": 2}))
    assert not is_comparable(RECORDED, replace(RECORDED, place=PLACE | {"inputs": "d" * 64}))


def test_a_loss_that_is_no_number_is_not_close():
    elsewhere = replace(RECORDED, place=PLACE | {"num_threads": 2})
    assert difference(RECORDED, with_step(elsewhere, 2, float("nan"))) is not None


def test_recording_anew_tells_how_much_a_trace_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loss_traces, "TRACES_DIR", tmp_path)
    path = tmp_path / "uniformer.json"
    for trace, told in (
        (RECORDED, "new"),
        (RECORDED, "the same, bit by bit"),
        (replace(RECORDED, weights_sha256="b" * 64), "every step is the same; the weights or the place are not"),
        (with_step(RECORDED, 6, 1.25), "moved by 0 over the first 5 steps, 0.25 over all; first at step 6"),
    ):
        monkeypatch.setattr(loss_traces, "trace_run", lambda *arguments, trace=trace: trace)
        assert record("uniformer", tmp_path, tmp_path) == f"{path}: {told}"
        assert load_trace("uniformer") == trace
