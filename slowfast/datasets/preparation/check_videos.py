"""Read every frame of every video of a list, and name the videos that cannot be read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from slowfast.datasets.preparation.list_files import ResultLog, write_csv
from slowfast.datasets.preparation.parallel import LostItem, map_unordered
from slowfast.datasets.records import VideoRecord
from slowfast.datasets.video_reader import VideoReadError
from slowfast.runtime.log import progress

# Frames held at a time.
_MEMORY_BYTES = 2**28


@dataclass(frozen=True)
class BadVideo:
    """A row whose video cannot be read."""

    split: str
    record: VideoRecord
    cause: str


def find_bad_videos(
    rows: Sequence[tuple[str, VideoRecord]],
    reader: Callable[..., Any],
    *,
    output: Path,
    num_frames: int = 0,
    num_workers: int = 0,
    timeout_s: float = 600.0,
) -> list[BadVideo]:
    """Read every video once with the reader of training, and write a CSV file of the bad ones.

    What is known is kept beside ``output``, in ``<output>.checked.jsonl``: another run goes on from there, and
    checks anew only videos that have changed in size or time of change.

    Args:
        rows: (split, record).
        reader: opens a path, or a folder of frames and their number.
        output: the CSV file: split, path, label, cause. It has its header alone if all is well.
        num_frames: check only so many frames, spread over the video; 0 for all.
        num_workers: processes; 0 works in this one, without protection from crashes and hangs.
        timeout_s: longest that one video may take.

    Returns:
        The bad videos, in the order of the rows.
    """
    check = partial(check_video, reader=reader, num_frames=num_frames)
    videos = {_key(record, num_frames): record for _, record in rows}
    with ResultLog(output.with_name(f"{output.name}.checked.jsonl")) as log:
        todo = [key for key in videos if key not in log.results]
        results = map_unordered(check, [videos[key] for key in todo], num_workers=num_workers, timeout_s=timeout_s)
        for idx, cause in progress(results, "videos", len(todo)):
            log.add(todo[idx], cause.cause if isinstance(cause, LostItem) else cause)
        causes = log.results
    bad = [
        BadVideo(split, record, cause) for split, record in rows if (cause := causes[_key(record, num_frames)]) != ""
    ]
    write_csv(
        output,
        ("split", "path", "label", "cause"),
        [(video.split, video.record.path, video.record.label, video.cause) for video in bad],
    )
    return bad


def _key(record: VideoRecord, num_frames: int) -> str:
    """What a result is about: the file as it is now, and how it was checked."""
    try:
        status = Path(record.path).stat()
        state = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        state = "missing"
    return f"{record.path} | {state} | {num_frames} of {record.num_frames}"


def check_video(record: VideoRecord, *, reader: Callable[..., Any], num_frames: int = 0) -> str:
    """Read a video.

    Args:
        record: names the video.
        reader: opens a path, or a folder of frames and their number.
        num_frames: check only so many frames, spread from the first to the last; 0 for all.

    Returns:
        "" for a good video, else why it cannot be read.
    """
    arguments = (record.path,) if record.num_frames is None else (record.path, record.num_frames)
    try:
        with reader(*arguments) as video:
            last = video.num_frames - 1
            if 0 < num_frames <= last:
                video.read([round(i * last / max(num_frames - 1, 1)) for i in range(num_frames)])
                return ""
            chunk = max(_MEMORY_BYTES // video.read([0]).nbytes, 1)
            for start in range(0, video.num_frames, chunk):
                video.read(range(start, min(start + chunk, video.num_frames)))
    except VideoReadError as error:
        return str(error) or "cannot be read"
    return ""
