"""Smaller videos with more key frames: H.264 with a shorter short side and short groups of pictures."""

import errno
import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from numbers import Rational
from pathlib import Path

import av
import numpy as np

from slowfast.datasets.lists.folder_walk import find_videos
from slowfast.datasets.preparation.list_files import write_csv, write_json
from slowfast.datasets.preparation.parallel import LostItem, map_unordered
from slowfast.datasets.reading.container import choose_video_stream, open_container
from slowfast.datasets.reading.orientation import frame_orientation
from slowfast.datasets.reading.scaling import FrameScaler
from slowfast.datasets.reading.source import VideoReadError
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.errors import UserError
from slowfast.runtime.files import cannot_write, make_folder
from slowfast.runtime.folder_lock import FolderLock
from slowfast.runtime.log import progress

logger = logging.getLogger(__name__)

SETTINGS_FILE = "transcode.json"
FAILED_FILE = "failed.csv"
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
# Pictures of 8 x 8 grey values tell whether a frame is the right one; lossy coding changes them by 1 or 2 of 255.
_THUMBNAIL_SIDE = 8
_LARGEST_DIFFERENCE = 12


@dataclass(frozen=True)
class Settings:
    """Of the encoder.

    Attributes:
        short_side: in pixels; smaller videos are not enlarged.
        gop: frames from one key frame to the next.
        crf: x264's quality, from 0 (lossless) to 51.
        preset: x264's, from ultrafast to veryslow.

    Raises:
        UserError: for a value that is not accepted.
    """

    short_side: int = 320
    gop: int = 16
    crf: int = 23
    preset: str = "fast"

    def __post_init__(self) -> None:
        for name, value, lowest, highest in (
            ("--short-side", self.short_side, 16, 8192),
            ("--gop", self.gop, 1, 1000),
            ("--crf", self.crf, 0, 51),
        ):
            if not lowest <= value <= highest:
                raise UserError(f"{name} {value}; accepted: {lowest} to {highest}")
        if self.preset not in PRESETS:
            raise UserError(f"--preset {self.preset}; accepted: {', '.join(PRESETS)}")


@dataclass(frozen=True)
class Outcome:
    """What became of one video.

    Attributes:
        source: relative to the folder of the sources.
        cause: why it failed; "" for a good one.
        source_bytes, target_bytes: sizes, 0 for one that failed.
    """

    source: str
    cause: str = ""
    source_bytes: int = 0
    target_bytes: int = 0


def transcode_folder(
    root: Path,
    out: Path,
    settings: Settings,
    *,
    overwrite: bool = False,
    num_workers: int = 0,
    timeout_s: float = 3600.0,
) -> list[Outcome]:
    """Transcode all videos under a folder to the same place under another, with the suffix .mp4.

    Sound is left out. Frame i of a result is frame i of its source; the frame rate is constant, the source's average.
    A result takes its place only after it has been decoded and compared with its source. Results that are there
    already are kept, so that an interrupted run resumes. ``out`` also gets ``transcode.json`` (the settings) and
    ``failed.csv``.

    Args:
        root: folder of the sources.
        out: folder of the results, not inside ``root``.
        settings: of the encoder; all results in ``out`` have the same.
        overwrite: make results anew that are there already, such as those of other settings.
        num_workers: processes; 0 works in this one, without protection from crashes and hangs.
        timeout_s: longest that one video may take.

    Returns:
        One outcome a video, sorted by its path.

    Raises:
        UserError: if folders or settings do not go together, two sources would give the same result, another run
            is writing to ``out``, or it cannot be written to.
    """
    found = find_videos(root, num_workers=num_workers)
    if found.left_out:
        logger.warning("%s: %s", root, found.told_left_out())
    sources = found.paths
    targets = _targets(root, out, sources)
    with FolderLock(out, key="folder of the results"):
        _check_settings(out / SETTINGS_FILE, settings, overwrite=overwrite)
        jobs = [(str(root / source), str(out / targets[source])) for source in sources]
        if not overwrite:
            jobs = [job for job in jobs if not Path(job[1]).exists()]
        run = partial(transcode_video, settings=settings)
        causes = {}
        results = map_unordered(run, jobs, num_workers=num_workers, timeout_s=timeout_s)
        for idx, cause in progress(results, "videos", len(jobs)):
            causes[jobs[idx][0]] = cause.cause if isinstance(cause, LostItem) else cause
        outcomes = []
        for source in sources:
            path, target = root / source, out / targets[source]
            if cause := causes.get(str(path), ""):
                outcomes.append(Outcome(source, cause))
            else:
                outcomes.append(Outcome(source, "", path.stat().st_size, target.stat().st_size))
        write_csv(out / FAILED_FILE, ("path", "cause"), [(o.source, o.cause) for o in outcomes if o.cause])
        return outcomes


def _targets(root: Path, out: Path, sources: Sequence[str]) -> dict[str, str]:
    """Source to result, both relative; no two sources to the same result."""
    if out.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{out}: lies in the folder of the sources, {root}; choose another")
    targets = {source: f"{os.path.splitext(source)[0]}.mp4" for source in sources}
    taken: dict[str, str] = {}
    for source, target in targets.items():
        if target in taken:
            raise UserError(f"{root}: {taken[target]} and {source} would both become {target}; rename one")
        taken[target] = source
    return targets


def _check_settings(path: Path, settings: Settings, *, overwrite: bool) -> None:
    """Write the settings down, or compare them with those of an earlier run."""
    if path.exists() and not overwrite:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if earlier != asdict(settings):
            raise UserError(
                f"{path.parent}: holds results of other settings, {earlier}; choose another folder or --overwrite"
            )
    write_json(path, asdict(settings))


def transcode_video(job: tuple[str, str], *, settings: Settings) -> str:
    """Transcode one file; an existing result is replaced only by a good one.

    Args:
        job: source and result.
        settings: of the encoder.

    Returns:
        "" or why there is no new result.

    Raises:
        UserError: if no result can be written, of this video or another.
    """
    source, target = map(Path, job)
    make_folder(target.parent)
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        num_frames = _count_frames(source)
        thumbnails = _encode(source, temporary, settings)
        if num_frames != len(thumbnails):
            raise VideoReadError(f"only {len(thumbnails)} of {num_frames} frames can be decoded")
        _verify(temporary, thumbnails)
        os.replace(temporary, target)
    except (VideoReadError, av.FFmpegError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise cannot_write(target, error, "start the same command again once it can be: it resumes") from None
        return " ".join(str(error).split()) or type(error).__name__
    finally:
        temporary.unlink(missing_ok=True)
    return ""


def _count_frames(source: Path) -> int:
    """Of a whole file.

    Raises:
        VideoReadError: if it is truncated, among others.
    """
    with VideoReader(source) as video:
        if video.truncated:
            raise VideoReadError(f"is truncated: {video.truncated}")
        return video.num_frames


def _encode(source: Path, target: Path, settings: Settings) -> list[np.ndarray]:
    """Encode, and return a thumbnail of each frame."""
    # Upright, and in the colours that a file has which says nothing of them, so that the result need not, either.
    thumbnail, scale = _Thumbnail(), FrameScaler("yuv420p", ":out_color_matrix=bt601:out_range=tv")
    thumbnails = []
    x264_params = f"keyint={settings.gop}:min-keyint={settings.gop}:scenecut=0:open-gop=0:threads=1"
    options = {"crf": str(settings.crf), "preset": settings.preset, "x264-params": x264_params}
    with (
        open_container(source) as reading,
        # From the root on, no name is taken for that of a protocol, as "12:30.mp4" would be.
        av.open(os.path.abspath(target), "w", format="mp4", options={"movflags": "+faststart"}) as writing,
    ):
        source_stream = choose_video_stream(reading)
        rate = frame_rate(source_stream.average_rate)
        stream = writing.add_stream("libx264", rate=rate, options=options)
        stream.pix_fmt = "yuv420p"
        for idx, frame in enumerate(reading.decode(source_stream)):
            if frame.is_corrupt:
                raise VideoReadError(f"frame {idx} is damaged")
            orientation = frame_orientation(frame)
            if idx == 0:
                height, width = orientation.size(frame.height, frame.width)
                stream.width, stream.height = scaled_size(width, height, settings.short_side)
            scaled = scale(frame, stream.height, stream.width, orientation=orientation)
            thumbnails.append(thumbnail(scaled))
            scaled.pts, scaled.time_base = idx, 1 / rate
            writing.mux(stream.encode(scaled))
        if not thumbnails:
            raise VideoReadError("its video stream has no frames")
        writing.mux(stream.encode())
    return thumbnails


def frame_rate(average: Rational | None) -> Fraction:
    """The constant rate of a result, in frames per second.

    Args:
        average: of the source; None or 0 where its file does not tell, which counts as 25. From PyAV 19 on it is a type
            of PyAV's own, which has a numerator and a denominator but not all of Fraction's methods.
    """
    return Fraction(average or 25).limit_denominator(65535)


def scaled_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Width and height with the given short side, if it is not shorter already; both even, as H.264 needs it."""
    scale = min(short_side / min(width, height), 1.0)
    return max(2 * round(width * scale / 2), 2), max(2 * round(height * scale / 2), 2)


class _Thumbnail:
    """Frame to uint8 (8, 8)."""

    def __init__(self) -> None:
        # PyAV's own ``reformat`` would take each field of a source by itself, which its result no longer has.
        self._scaler = FrameScaler("gray", ":flags=area")

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        return self._scaler(frame, _THUMBNAIL_SIDE, _THUMBNAIL_SIDE).to_ndarray()


def _verify(result: Path, thumbnails: Sequence[np.ndarray]) -> None:
    """Decode a result and compare it with its source.

    Raises:
        VideoReadError: if it is not what it should be.
    """
    num_frames = 0
    for idx, (ours, theirs) in enumerate(zip(_decode_thumbnails(result), thumbnails, strict=False)):
        difference = np.abs(ours.astype(int) - theirs.astype(int)).mean()
        if difference > _LARGEST_DIFFERENCE:
            raise VideoReadError(f"frame {idx} of the result differs from the source by {difference:.0f} of 255")
        num_frames = idx + 1
    with VideoReader(result) as video:
        if not num_frames == video.num_frames == len(thumbnails):
            raise VideoReadError(f"the result has {video.num_frames} frames instead of {len(thumbnails)}")


def _decode_thumbnails(path: Path) -> Iterator[np.ndarray]:
    thumbnail = _Thumbnail()
    with open_container(path) as container:
        for frame in container.decode(choose_video_stream(container)):
            yield thumbnail(frame)
