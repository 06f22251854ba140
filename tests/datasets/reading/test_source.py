"""What every source of frames keeps to, whatever it reads; a new one joins ``SOURCES``."""

import re
from collections.abc import Callable, Iterator, Set
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slowfast.datasets.reading import backends, stream_packets
from slowfast.datasets.reading.backends import CheckedReader
from slowfast.datasets.reading.frame_reader import FrameFolderReader
from slowfast.datasets.reading.source import FrameSource
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.errors import UserError
from tests.videos import decode_all, number_of, numbered_frame, write_frames, write_video

NUM_FRAMES, FIRST = 23, 300

Opener = Callable[[Path, pytest.MonkeyPatch], FrameSource]


class Drawn(FrameSource):
    """A source of somebody else's: frames drawn on demand."""

    def __init__(self) -> None:
        self.path, self.num_frames = "drawn", NUM_FRAMES

    def _read_frames(self, wanted: Set[int]) -> dict[int, np.ndarray]:
        return {idx: numbered_frame(FIRST + idx) for idx in wanted}


def file_of(folder: Path, suffix: str = "mp4") -> Path:
    return write_video(folder / f"a.{suffix}", NUM_FRAMES, gop=8, first_number=FIRST)


def open_decoded_in_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    source = VideoReader(file_of(folder, "avi"))
    assert source._index is None
    return source


def open_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    monkeypatch.setattr(stream_packets, "MAX_KEPT_BYTES", 100)
    source = VideoReader(file_of(folder))
    assert source._stream._kept is None
    return source


def open_by_stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    """What wraps the other libraries, round one that decodes as they should."""
    path = file_of(folder)
    frames, _ = decode_all(path)
    monkeypatch.setitem(backends._OPEN, "decord", lambda path: (NUM_FRAMES, lambda indices: frames[indices]))
    return CheckedReader(path, backend="decord")


def open_by(backend: str) -> Opener:
    def open_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
        try:
            opener = backends.video_reader(backend)
        except UserError as error:
            pytest.skip(str(error))
        if opener is VideoReader:
            pytest.skip(f"{backend} does not load")
        return opener(str(file_of(folder)))

    return open_file


SOURCES: dict[str, Opener] = {
    "file": lambda folder, _: VideoReader(file_of(folder)),
    "file decoded in full": open_decoded_in_full,
    "file demultiplexed again": open_read_again,
    "stand-in library": open_by_stand_in,
    "decord": open_by("decord"),
    "torchcodec": open_by("torchcodec"),
    "folder": lambda folder, _: FrameFolderReader(write_frames(folder, NUM_FRAMES, first_number=FIRST), NUM_FRAMES),
    "drawn": lambda folder, _: Drawn(),
}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FrameSource]:
    """Frame i of its 23 shows the number 300 + i."""
    opened = SOURCES[request.param](tmp_path, monkeypatch)
    yield opened
    opened.close()


def test_it_is_of_the_type_and_counts_its_frames(source: FrameSource):
    assert isinstance(source, FrameSource)
    assert source.num_frames == NUM_FRAMES and isinstance(source.num_frames, int)


def test_frames_are_a_tensor_of_their_own(source: FrameSource):
    frames = source.read([0, 5, 5])
    assert isinstance(frames, torch.Tensor) and frames.dtype == torch.uint8 and frames.device.type == "cpu"
    assert frames.shape == (3, 32, 32, 3) and frames.is_contiguous()
    frames[:2] = 0  # repeated frames do not share memory, with each other or with what the source keeps
    assert number_of(frames[2]) == FIRST + 5
    assert [number_of(frame) for frame in source.read([0, 5])] == [FIRST, FIRST + 5]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(indices=st.lists(st.integers(0, NUM_FRAMES - 1), min_size=1, max_size=12))
def test_frames_come_in_any_order_and_repeat(source: FrameSource, indices: list[int]):
    assert [number_of(frame) for frame in source.read(indices)] == [FIRST + idx for idx in indices]


def test_the_same_frame_is_the_same_however_it_is_reached(source: FrameSource):
    everything = source.read(range(NUM_FRAMES))
    for indices in ([22], [7, 3], [0, 22, 11]):
        assert torch.equal(source.read(indices), everything[indices])


@pytest.mark.parametrize("idx", [-1, NUM_FRAMES])
def test_an_index_outside_the_video_is_named(source: FrameSource, idx: int):
    with pytest.raises(IndexError, match=rf"^frame {idx} of {re.escape(source.path)} is outside \[0, 23\)$"):
        source.read([0, idx])
    assert number_of(source.read([1])[0]) == FIRST + 1


def test_no_index_at_all_is_refused(source: FrameSource):
    message = f"^no frame of {re.escape(source.path)} is asked for; give at least one index$"
    with pytest.raises(ValueError, match=message):
        source.read([])


def test_it_closes_more_than_once_and_reads_no_more(source: FrameSource):
    source.read([0])
    source.close()
    source.close()
    with pytest.raises(ValueError, match=f"^{re.escape(source.path)} is closed; open it again to read frames$"):
        source.read([0])


def test_a_context_gives_the_source_and_closes_it(source: FrameSource):
    with pytest.raises(KeyError), source as inside:
        assert inside is source and number_of(inside.read([2])[0]) == FIRST + 2
        raise KeyError
    with pytest.raises(ValueError, match="is closed"):
        source.read([2])
