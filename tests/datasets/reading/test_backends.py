"""Another library decodes to the very frames of PyAV, or refuses the file and says why."""

import importlib
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from slowfast.config import load_config
from slowfast.datasets import build_list
from slowfast.datasets.reading import backends
from slowfast.datasets.reading.backends import CheckedReader, video_reader
from slowfast.datasets.reading.source import VideoReadError
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.errors import UserError
from tests.odd_videos import H264_STRUCTURES, INDEXED, NOT_INDEXED, write_stream, x264
from tests.videos import decode_all, number_of, write_video


def is_usable(backend: str) -> bool:
    try:
        return video_reader(backend) is not VideoReader
    except UserError:
        return False


def needs(backend: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not is_usable(backend), reason=f"{backend} does not load")


BACKENDS = [pytest.param(backend, marks=needs(backend)) for backend in ("decord", "torchcodec")]
# Files as they come from most cameras and programs.
PLAIN = (
    "H.264",
    "H.264 without B-frames",
    "H.264, variable frame rate",
    "H.264, mkv",
    "H.264, full range",
    "HEVC",
    "VP9",
)


@pytest.fixture(autouse=True)
def fresh_choice():
    """A warning of one test is not spared the next."""
    video_reader.cache_clear()


def is_exact(path: Path, backend: str, *, num_draws: int = 6) -> bool:
    """Whether the backend takes the file; then its frames must be those of a full decode."""
    expected, _ = decode_all(path)
    rng = np.random.default_rng(0)
    try:
        reader = video_reader(backend)(str(path))
    except VideoReadError as error:
        assert str(error).startswith(f"DATA.DECODING_BACKEND {backend} ") and str(error).endswith("; pyav reads it")
        return False
    with reader:
        assert reader.num_frames == len(expected)
        np.testing.assert_array_equal(reader.read(range(len(expected))), expected)
        for _ in range(num_draws):
            indices = rng.integers(len(expected), size=rng.integers(1, 6)).tolist()
            np.testing.assert_array_equal(reader.read(indices), expected[indices], err_msg=f"frames {indices}")
    return True


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", PLAIN)
def test_plain_files_are_read_exactly(odd_video: Callable[[str], Path], backend: str, kind: str):
    assert is_exact(odd_video(kind), backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", INDEXED | NOT_INDEXED)
def test_odd_files_are_read_exactly_or_refused(odd_video: Callable[[str], Path], backend: str, kind: str):
    is_exact(odd_video(kind), backend, num_draws=3)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(structure=H264_STRUCTURES)
def test_any_structure_is_read_exactly_or_refused(tmp_path: Path, backend: str, structure: dict):
    path = write_stream(tmp_path / "a.mp4", "libx264", 40, options=x264(**structure))
    is_exact(path, backend)


def test_pyav_is_the_default_and_reads_everything():
    cfg = load_config(None, [])
    assert cfg.DATA.DECODING_BACKEND == "pyav" and video_reader("pyav") is VideoReader


# Libraries that are absent, or are not what they should be


def pretend(monkeypatch: pytest.MonkeyPatch, num_frames: int, decode: Callable[[list[int]], np.ndarray]) -> None:
    """Let a library of this behaviour be decord."""
    monkeypatch.setitem(backends._OPEN, "decord", lambda path: (num_frames, decode))


def test_a_library_that_agrees_decodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    frames, _ = decode_all(write_video(tmp_path / "a.mp4", 20))
    asked: list[list[int]] = []

    def decode(indices: list[int]) -> np.ndarray:
        asked.append(indices)
        return frames[indices]

    pretend(monkeypatch, 20, decode)
    with CheckedReader(tmp_path / "a.mp4", backend="decord") as reader:
        assert [number_of(frame) for frame in reader.read([7, 3, 7])] == [7, 3, 7]
        with pytest.raises(IndexError, match=r"frame 20 of .* is outside \[0, 20\)"):
            reader.read([20])
    assert asked == [[0], [3, 7]]


def fail(indices: list[int]) -> np.ndarray:
    raise LookupError("cannot seek\nand so on")


@pytest.mark.parametrize(
    ("num_frames", "decode", "message"),
    [
        (19, fail, "DATA.DECODING_BACKEND decord finds 19 of 20 frames; pyav reads it"),
        (
            20,
            lambda _: np.zeros((1, 32, 32, 3), np.uint8),
            "DATA.DECODING_BACKEND decord gives another first frame; pyav reads it",
        ),
        (20, fail, "decord failed: cannot seek"),
    ],
)
def test_a_library_that_disagrees_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_frames: int, decode: Callable, message: str
):
    pretend(monkeypatch, num_frames, decode)
    with pytest.raises(VideoReadError) as error:
        CheckedReader(write_video(tmp_path / "a.mp4", 20), backend="decord")
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("MPEG-4, avi", "is not exact for mpeg4 in avi files"),
        ("H.264, negative times", "is not exact for h264 in mpegts files"),
        ("H.264, edit list", "is not exact for edit lists, open groups of pictures, irregular timestamps and frames"),
        ("H.264, open groups", "is not exact for edit lists, open groups of pictures, irregular"),
        ("H.264, rotation", "is not exact for frames that are to be turned or mirrored"),
        ("H.264, sizes", "is not exact for .* and frames that change their size"),
        ("HEVC, sizes", "is not exact for .* and frames that change their size"),
        ("VP9, sizes", "is not exact for .* and frames that change their size"),
        ("VP9, odd size", "is not exact for frames of 65 x 83 pixels of the format yuv420p"),
    ],
)
def test_files_that_are_known_to_differ_are_refused_unseen(
    odd_video: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, kind: str, message: str
):
    pretend(monkeypatch, 40, fail)
    with pytest.raises(VideoReadError, match=message):
        CheckedReader(odd_video(kind), backend="decord")


def absent(name: str) -> None:
    raise ModuleNotFoundError(f"No module named {name!r}")


def test_without_decord_pyav_stands_in_with_one_warning(
    video_set: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(importlib, "import_module", absent)
    overrides = ["DATA.DECODING_BACKEND", "decord", "TRAIN.DATASET", "kinetics", "TEST.DATASET", "kinetics"]
    overrides += ["DATA.PATH_TO_DATA_DIR", str(video_set), "DATA.PATH_LABEL_SEPARATOR", ","]
    cfg = load_config(None, overrides)
    logging.getLogger("slowfast").propagate = True
    for split in ("train", "val", "test"):
        assert build_list(cfg, split).open_source is VideoReader
    warnings = [record.getMessage() for record in caplog.records if "DECODING_BACKEND" in record.getMessage()]
    assert warnings == [
        "DATA.DECODING_BACKEND decord: No module named 'decord'; pyav decodes instead, to the same frames"
    ]


def test_without_torchcodec_the_config_is_at_fault(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(UserError, match=r"DATA.DECODING_BACKEND torchcodec does not load: No module .* or set pyav"):
        video_reader("torchcodec")
