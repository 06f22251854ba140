"""What the benchmark compares does the same work, and a worker's memory stays flat."""

import statistics
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from slowfast.benchmarks import loading_speed as benchmark
from slowfast.benchmarks.loading_speed import alternate, sparse_frames, training_sample, twelve_views, worker_memory
from slowfast.datasets.records import Sample
from tests.odd_videos import write_stream, x264
from tests.videos import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("benchmark") / "a.mp4", 30, height=64, width=84)


def test_contenders_take_turns_and_the_first_turn_does_not_count():
    turns: list[str] = []
    timings = alternate({"one": lambda: turns.append("one"), "two": lambda: turns.append("two")}, 3)
    assert turns == ["one", "two"] * 4
    assert timings.keys() == {"one", "two"} and all(timing.wall_s >= 0 for timing in timings.values())


def test_medians_of_the_times_count(monkeypatch: pytest.MonkeyPatch):
    steps_s = [0, 7, 5, 0, 1, 0, 9]  # the warm-up, which is not measured, takes 7 s; then 5, 1 and 9
    clocks = {name: accumulate(steps_s).__next__ for name in ("process_time", "perf_counter")}
    monkeypatch.setattr(benchmark, "time", SimpleNamespace(**clocks))
    assert alternate({"one": lambda: None}, 3)["one"] == (5, 5)


def test_all_read_the_same_sparse_frames(video: Path):
    contenders = sparse_frames(video)
    frames = contenders["ours"]()
    assert frames.shape == (8, 64, 84, 3)
    for other in contenders.values():
        np.testing.assert_array_equal(other(), frames)


def test_all_load_the_same_twelve_views(video: Path):
    contenders = twelve_views(video)
    sample = contenders["ours"]()
    assert sample.views.shape == (12, 3, 8, 224, 224)
    for view, alone in zip(sample.views, contenders["twelve of ours"](), strict=True):
        assert isinstance(alone, Sample) and (alone.views[0] == view).all()
    if "twelve of decord" not in contenders:
        return  # it is not installed
    for view, floats in zip(sample.views, contenders["twelve of decord"](), strict=True):
        assert ((floats * 0.225 + 0.45) * 255 - view).abs().max() < 1.01  # resized before rounding


def test_training_samples_differ_from_turn_to_turn(video: Path):
    for work in training_sample(video).values():
        one, other = work(), work()
        views = (one.views[0], other.views[0]) if isinstance(one, Sample) else (one, other)
        assert views[0].shape == (3, 8, 224, 224) and not (views[0] == views[1]).all()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_a_workers_memory_stays_flat_over_2000_clips(tmp_path: Path):
    paths = [
        write_video(tmp_path / "a.mp4", 30),
        write_stream(tmp_path / "b.webm", "libvpx-vp9", 20, options={"cpu-used": "8", "deadline": "realtime"}),
        write_stream(tmp_path / "c.avi", "libx264", 20, options=x264(bframes=2)),  # decoded in full
    ]
    memory_mib = list(worker_memory(paths, 2000))
    assert statistics.median(memory_mib[-200:]) - statistics.median(memory_mib[200:400]) < 8
