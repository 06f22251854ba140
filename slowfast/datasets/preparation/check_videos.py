"""Read every frame of every video of a list, and name the videos that cannot be read or end early."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from slowfast.datasets.lists.video_list import open_video
from slowfast.datasets.preparation.list_files import ResultLog, write_csv
from slowfast.datasets.preparation.parallel import LostItem, map_unordered
from slowfast.datasets.reading.source import SourceOpener, VideoReadError
from slowfast.datasets.records import VideoRecord
from slowfast.runtime.log import progress

# Frames held at a time.
_MEMORY_BYTES = 2**28
# Raised whenever a check finds more than before: results of earlier ones do not count any more.
_CHECK_VERSION = 2


class BadVideo(NamedTuple):
    """A row whose video cannot be read or is truncated, and why."""

    split: str
    path: str
    label: int
    cause: str


def find_bad_videos(
    lists: Mapping[str, tuple[Sequence[VideoRecord], SourceOpener]],
    *,
    output: Path,
    num_frames: int = 0,
    num_workers: int = 0,
    timeout_s: float = 600.0,
) -> list[BadVideo]:
    """Read every video once with the reader of training, and write a CSV file of the bad ones.

    What is known is kept beside ``output``, in ``<output>.checked.jsonl``: another run resumes from there, and
    checks anew only videos that have changed in size or time of change.

    Args:
        lists: split to its rows and what opens their videos.
        output: the CSV file: split, path, label, cause. It has its header alone if all is well.
        num_frames: check only so many frames, spread over the video; 0 for all.
        num_workers: processes; 0 works in this one, without protection from crashes and hangs.
        timeout_s: longest that one video may take.

    Returns:
        The bad videos, in the order of the lists.
    """
    bad = []
    with ResultLog(output.with_name(f"{output.name}.checked.jsonl")) as log:
        for split, (records, open_source) in lists.items():
            keys = [_key(record, num_frames) for record in records]
            todo = {key: record for key, record in zip(keys, records, strict=True) if key not in log.results}
            check = partial(check_video, open_source=open_source, num_frames=num_frames)
            results = map_unordered(check, list(todo.values()), num_workers=num_workers, timeout_s=timeout_s)
            todo_keys = list(todo)
            lost = {}  # not logged: another run, with more time, is to try again
            for idx, cause in progress(results, f"{split} videos", len(todo)):
                if isinstance(cause, LostItem):
                    lost[todo_keys[idx]] = cause.cause
                else:
                    log.add(todo_keys[idx], cause)
            for key, record in zip(keys, records, strict=True):
                if cause := lost.get(key) or log.results[key]:
                    bad.append(BadVideo(split, record.path, record.label, cause))
    write_csv(output, BadVideo._fields, bad)
    return bad


def _key(record: VideoRecord, num_frames: int) -> str:
    """What a result is about: the file as it is now, and how it was checked."""
    try:
        status = Path(record.path).stat()
        state = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        state = "missing"
    return f"{record.path} | {state} | {num_frames} of {record.num_frames} | check {_CHECK_VERSION}"


def check_video(record: VideoRecord, *, open_source: SourceOpener, num_frames: int = 0) -> str:
    """Read a video.

    Args:
        record: names the video.
        open_source: opens it.
        num_frames: check only so many frames, spread from the first to the last; 0 for all.

    Returns:
        "" for a good video, else why it cannot be read, or that it is truncated.
    """
    try:
        with open_video(open_source, record) as video:
            last = video.num_frames - 1
            if 0 < num_frames <= last:
                video.read([round(i * last / max(num_frames - 1, 1)) for i in range(num_frames)])
            else:
                chunk = max(_MEMORY_BYTES // video.read([0]).nbytes, 1)
                for start in range(0, video.num_frames, chunk):
                    video.read(range(start, min(start + chunk, video.num_frames)))
            return f"is truncated: {video.truncated}" if video.truncated else ""
    except VideoReadError as error:
        return str(error) or "cannot be read"
