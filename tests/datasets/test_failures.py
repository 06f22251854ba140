"""Videos that cannot be read: each says why; training draws another and names it, testing reports it."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from slowfast.config import load_config
from slowfast.datasets import build_dataset, build_loader
from slowfast.datasets.clip_dataset import EvalClipDataset, TrainClipDataset
from slowfast.datasets.lists.video_list import VideoList
from slowfast.datasets.reading.source import SourceOpener, VideoReadError
from slowfast.datasets.reading.time_limit import call_within
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.datasets.records import FailedVideo, Sample, SampleKey, VideoRecord
from slowfast.datasets.sampling import sparse_indices
from slowfast.datasets.transforms.pipeline import EvalTransform, TrainTransform
from tests.videos import number_of, write_list, write_sound, write_video

SPARSE = partial(sparse_indices, clip_len=4)
WHOLE = TrainTransform(
    size=16, area_range=(1.0, 1.0), aspect_range=(1.0, 1.0), short_side_range=(16, 16), flip_prob=0.0
)


def write_zero_bytes(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def write_text(folder: Path) -> Path:
    path = folder / "text.mp4"
    path.write_text("This was never a video.\n" * 100)
    return path


def write_half(folder: Path, *, is_faststart: bool) -> Path:
    """The first half of an mp4 file; with ``is_faststart`` it has the index of frames, which else stands at the end."""
    path = write_video(folder / "half.mp4", 40, is_faststart=is_faststart)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def write_header_alone(folder: Path) -> Path:
    """An mp4 file with an index of frames, and none of the frames."""
    path = write_video(folder / "header.mp4", 40, is_faststart=True)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4])
    return path


INVALID = "Invalid data found when processing input"
NO_INDEX = f"{INVALID}: an mp4 without its index (moov), as of a recording or a download that did not end"
UNREADABLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "none.mp4", "No such file or directory"),
    "a folder": (lambda folder: folder, "Is a directory"),
    "zero bytes": (write_zero_bytes, f"{INVALID}: it is empty"),
    "text": (write_text, INVALID),
    "truncated before the index": (partial(write_half, is_faststart=False), NO_INDEX),
    "truncated amid the first frame": (partial(write_half, is_faststart=True), "its video stream has no frames"),
    "truncated before the frames": (write_header_alone, "its video stream has no frames"),
    "sound alone": (lambda folder: write_sound(folder / "sound.mp4"), "has no video stream"),
}


@pytest.fixture
def readable(tmp_path: Path) -> VideoRecord:
    return VideoRecord(str(write_video(tmp_path / "good" / "good.mp4", 8, first_number=100)), 1)


def train_dataset(records: list[VideoRecord], open_source: SourceOpener = VideoReader, **arguments) -> TrainClipDataset:
    videos = VideoList(records=records, open_source=open_source, sampler=SPARSE)
    return TrainClipDataset([videos], transform=WHOLE, seed=5, **arguments)


def eval_dataset(records: list[VideoRecord], open_source: SourceOpener = VideoReader, **arguments) -> EvalClipDataset:
    videos = VideoList(records=records, open_source=open_source, sampler=SPARSE)
    transform = EvalTransform(size=16, spatial_idxs=(0, 1, 2))
    return EvalClipDataset([videos], transform=transform, num_temporal_views=2, **arguments)


def check_failure(path: Path, cause: str, readable: VideoRecord, **arguments) -> None:
    """A video that cannot be read is replaced in training, and reported in testing."""
    records = [VideoRecord(str(path), 0), readable]
    expected = FailedVideo(0, str(path), cause)
    assert eval_dataset(records, **arguments)[SampleKey(0, 0)] == expected
    sample = train_dataset(records, **arguments)[SampleKey(0, 0)]
    assert isinstance(sample, Sample) and sample.video_idx == 1 and sample.label == 1
    assert set(sample.replaced) == {expected}
    assert number_of(sample.views[0, :, 0].permute(1, 2, 0).numpy()) // 10 == 10  # the other video's frames


@pytest.mark.parametrize(("make", "cause"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_replaced_in_training_and_reported_in_testing(
    tmp_path: Path, readable: VideoRecord, make: Callable[[Path], Path], cause: str
):
    check_failure(make(tmp_path), cause, readable)


def test_one_frame_is_a_video(tmp_path: Path):
    path = write_video(tmp_path / "one.mp4", 1, first_number=7)
    records = [VideoRecord(str(path), 0)]
    for sample, num_views in (
        (train_dataset(records)[SampleKey(0, 0)], 1),
        (eval_dataset(records)[SampleKey(0, 0)], 6),
    ):
        assert sample.views.shape == (num_views, 3, 4, 16, 16)
        assert {number_of(frame) for frame in sample.views[0].permute(1, 2, 3, 0).numpy()} == {7}


# No permission


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def as_nobody(function: Callable[[], str]) -> str:
    """Call a function in a child process that is not root; returns its text or error."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            text = function()
        except BaseException as error:
            text = repr(error)
        os.write(write_end, text.encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_video_without_permission_says_so(open_folder: Path):
    path = write_video(open_folder / "a.mp4", 4)
    path.chmod(0)
    record = VideoRecord(str(path), 0)

    def test_one() -> str:
        return eval_dataset([record])[SampleKey(0, 0)].cause

    assert as_nobody(test_one) == "Permission denied"
    path.chmod(0o644)
    assert as_nobody(lambda: str(VideoReader(path).num_frames)) == "4"


# Time-out


OPEN_STREAM = partial(VideoReader, allow_streams=True)  # others refuse a pipe before they wait for it


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """A named pipe that nobody writes to: who opens it waits for ever, deep in FFmpeg."""
    path = tmp_path / "pipe.mp4"
    os.mkfifo(path)
    yield path
    num_waiting = threading.active_count() - 1
    for _ in range(num_waiting):  # a writer that comes and goes lets them end
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        time.sleep(0.01)


def test_opening_is_bounded_by_the_time_out(pipe: Path, readable: VideoRecord):
    start = time.perf_counter()
    cause = "was not read within DATA_LOADER.VIDEO_TIMEOUT_S 0.1"
    check_failure(pipe, cause, readable, open_source=OPEN_STREAM, timeout_s=0.1)
    assert time.perf_counter() - start < 5.0


class StuckReader(VideoReader):
    """Opens a video, and gives no frames before the test has ended, if it is the one named ``stuck``."""

    may_go_on = threading.Event()

    def read(self, indices: Sequence[int]) -> Tensor:
        if "stuck" in self.path:
            self.may_go_on.wait()
        return super().read(indices)


@pytest.fixture(autouse=True)
def nobody_stays_stuck() -> Iterator[None]:
    StuckReader.may_go_on.clear()
    yield
    StuckReader.may_go_on.set()


def test_reading_is_bounded_by_the_time_out(tmp_path: Path, readable: VideoRecord):
    path = write_video(tmp_path / "stuck.mp4", 8)
    cause = "was not read within DATA_LOADER.VIDEO_TIMEOUT_S 0.1"
    check_failure(path, cause, readable, open_source=StuckReader, timeout_s=0.1)


def test_a_time_out_does_not_change_what_is_drawn(pipe: Path, readable: VideoRecord, tmp_path: Path):
    """Neither the video that stands in nor its clip depend on how far the stuck one came."""
    path = write_video(tmp_path / "stuck.mp4", 8)
    samples = []
    for bad, reader in ((pipe, OPEN_STREAM), (tmp_path / "gone.mp4", VideoReader), (path, StuckReader)):
        records = [VideoRecord(str(bad), 0), *[readable._replace(label=label) for label in range(1, 6)]]
        samples.append(train_dataset(records, open_source=reader, timeout_s=0.1)[SampleKey(0, 0)])
    assert samples[0].video_idx == samples[1].video_idx
    assert torch.equal(samples[0].views, samples[1].views)
    # The choice of frames was drawn before reading got stuck, every time.
    again = train_dataset(records, open_source=StuckReader, timeout_s=0.1)[SampleKey(0, 0)]
    assert again.video_idx == samples[2].video_idx and torch.equal(again.views, samples[2].views)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_stuck_video_does_not_stop_a_loader(pipe: Path, video_set: Path, tmp_path: Path, num_workers: int):
    good = [(str(video_set / f"videos/test_{i}.mp4"), 0) for i in range(3)]
    write_list(tmp_path / "test.csv", [good[0], (str(pipe), 0), *good[1:]])
    overrides = ["DATA.PATH_TO_DATA_DIR", str(tmp_path), "DATA.PATH_LABEL_SEPARATOR", ",", "TEST.DATASET", "kinetics"]
    overrides += ["NUM_GPUS", 0, "DATA.NUM_FRAMES", 2, "DATA.TEST_CROP_SIZE", 16, "TEST.BATCH_SIZE", 1]
    overrides += ["DATA_LOADER.NUM_WORKERS", num_workers, "DATA_LOADER.VIDEO_TIMEOUT_S", 0.3]
    overrides += ["DATA.ALLOW_STREAMS", True]
    cfg = load_config(None, overrides)
    batches = list(build_loader(cfg, build_dataset(cfg, "test")))
    assert [batch.video_idx.tolist() for batch in batches] == [[0], [], [2], [3]]
    assert batches[1].failed == (FailedVideo(1, str(pipe), "was not read within DATA_LOADER.VIDEO_TIMEOUT_S 0.3"),)


def test_a_call_in_time_gives_its_result_or_its_error():
    for timeout_s in (None, 10.0):
        assert call_within(timeout_s, divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            call_within(timeout_s, divmod, 7, 0)


def test_a_call_that_takes_too_long_is_given_up():
    may_end = threading.Event()
    with pytest.raises(TimeoutError, match=r"no result within 0\.05 s"):
        call_within(0.05, may_end.wait)
    may_end.set()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")
def test_an_error_leaves_no_file_open(tmp_path: Path):
    paths = [
        write_header_alone(tmp_path),
        write_half(tmp_path, is_faststart=True),
        write_sound(tmp_path / "sound.mp4"),
        write_text(tmp_path),
    ]
    before = len(os.listdir("/proc/self/fd"))
    for path in paths:
        with pytest.raises(VideoReadError), VideoReader(path) as video:
            video.read([video.num_frames - 1])
    assert len(os.listdir("/proc/self/fd")) == before
