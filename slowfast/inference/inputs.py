"""What a user calls a video: a file, a folder of images, bytes of a file, or frames in memory."""

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from slowfast.datasets.lists.folder_walk import VIDEO_SUFFIXES, FoundVideos, is_video, walk_folders
from slowfast.datasets.reading.frame_reader import read_image
from slowfast.datasets.reading.source import FrameSource, SourceOpener, VideoReadError
from slowfast.datasets.records import VideoRecord
from slowfast.errors import UserError

VideoInput = str | os.PathLike | bytes | np.ndarray | Tensor

IMAGE_SUFFIXES = frozenset(".bmp .jpeg .jpg .png .tif .tiff .webp".split())  # noqa: SIM905


class ArraySource(FrameSource):
    """Frames that are in memory already.

    Args:
        name: what messages call the video.
        frames: uint8 (T, H, W, 3), RGB.
    """

    def __init__(self, name: str, frames: np.ndarray) -> None:
        self.path, self.num_frames, self._frames = name, len(frames), frames

    def _read_frames(self, wanted: Set[int]) -> dict[int, np.ndarray]:
        return {idx: self._frames[idx] for idx in wanted}


class ImageFolderSource(FrameSource):
    """The images of a folder, in the order of the numbers in their names.

    Args:
        path: the folder.
        apply_rotation: turn and mirror images as their EXIF data say.

    Raises:
        VideoReadError: if it has no images, or cannot be listed.
    """

    def __init__(self, path: str | Path, *, apply_rotation: bool = True) -> None:
        self.path, self._apply_rotation = str(path), apply_rotation
        try:
            names = [entry.name for entry in os.scandir(path) if is_image(entry.name)]
        except OSError as error:
            raise VideoReadError(error.strerror) from None
        if not names:
            suffixes = " ".join(sorted(suffix.removeprefix(".") for suffix in VIDEO_SUFFIXES))
            raise VideoReadError(f"has no videos; accepted: files that end in {suffixes}, and folders of images")
        self._names = sorted(names, key=_by_number)
        self.num_frames = len(names)

    def _read_frames(self, wanted: Set[int]) -> dict[int, np.ndarray]:
        return {idx: self._read_image(self._names[idx]) for idx in sorted(wanted)}

    def _read_image(self, name: str) -> np.ndarray:
        try:
            return read_image(Path(self.path, name), apply_rotation=self._apply_rotation)
        except FileNotFoundError:
            raise VideoReadError(f"its file {name} is gone") from None


def is_image(name: str) -> bool:
    """Whether a file's suffix is one of an image."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def _by_number(name: str) -> list[tuple[int, str | int]]:
    """img_2.jpg comes before img_10.jpg."""
    return [(1, int(part)) if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def videos_in(root: str | os.PathLike) -> FoundVideos:
    """The videos that a folder means: all video files in it, at any depth, else all folders that hold images.

    Args:
        root: the folder; links are followed, hidden files do not count.

    Returns:
        Paths that begin with ``root``, in the order of the numbers in them, and what else there is. Where there is
        neither, ``root`` itself: it counts as a video that cannot be read.

    Raises:
        UserError: if a folder cannot be listed.
    """
    files, folders = [], []
    left_out: Counter[str] = Counter()
    num_images: Counter[str] = Counter()
    for folder in walk_folders(Path(root)):
        left_out += folder.odd
        path = os.path.join(root, folder.path)
        for name in folder.files:
            suffix = os.path.splitext(name)[1].lower() or "without suffix"
            if is_video(name):
                files.append(os.path.join(path, name))
            elif is_image(name):
                num_images[suffix] += 1
            else:
                left_out[suffix] += 1
        if any(map(is_image, folder.files)):
            folders.append(path.rstrip(os.sep))
    if files:
        return FoundVideos(sorted(files, key=_by_number), left_out + num_images)
    if folders:
        return FoundVideos(sorted(folders, key=_by_number), left_out)
    return FoundVideos([os.fspath(root)], left_out)


@dataclass(frozen=True)
class Inputs:
    """Videos to be read, whatever they came as.

    Attributes:
        records: one per video, by its name; they have no labels.
        open_source: opens a video by its name.
        is_in_memory: some of them are, and are not to be sent to other processes.
    """

    records: Sequence[VideoRecord]
    open_source: SourceOpener
    is_in_memory: bool = False


@contextmanager
def gathered(videos: Sequence[VideoInput], open_file: SourceOpener, *, apply_rotation: bool = True) -> Iterator[Inputs]:
    """Make one kind of thing of all kinds of input; within it they can be read.

    Args:
        videos: paths of files or of folders of images, bytes of files, or uint8 (T, H, W, 3) in RGB.
        open_file: opens a video file.
        apply_rotation: as of an ``ImageFolderSource``.

    Raises:
        UserError: for an input of another type or shape.
    """
    videos = list(videos)
    paths = {os.fspath(video) for video in videos if isinstance(video, str | os.PathLike)}
    arrays: dict[str, np.ndarray] = {}
    files: dict[str, str] = {}
    names = []
    with tempfile.TemporaryDirectory(prefix="video_") as folder:
        for number, video in enumerate(videos):
            if isinstance(video, str | os.PathLike):
                names.append(os.fspath(video))
                continue
            name = f"input {number}"
            while name in paths:
                name += " in memory"
            names.append(name)
            if isinstance(video, bytes):
                files[name] = os.path.join(folder, str(number))
                _write(video, files[name], name)
            else:
                arrays[name] = _checked(video, name)
        open_folder = partial(ImageFolderSource, apply_rotation=apply_rotation)
        opener = partial(_open, open_file=open_file, open_folder=open_folder, arrays=arrays, files=files)
        yield Inputs([VideoRecord(name, label=0) for name in names], opener, bool(arrays))


def _write(content: bytes, path: str, name: str) -> None:
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        told = f"{name}: its bytes cannot be kept in {tempfile.gettempdir()}: {error.strerror or error}"
        raise UserError(f"{told}; TMPDIR names another folder") from None


def _checked(frames: object, name: str) -> np.ndarray:
    """Frames as uint8 (T, H, W, 3)."""
    accepted = "a path, bytes of a video file, or an array or a tensor uint8 (T, H, W, 3) in RGB"
    if isinstance(frames, Tensor):
        frames = frames.detach().cpu()
        told = f"a tensor {str(frames.dtype).removeprefix('torch.')} {tuple(frames.shape)}"
        is_good = frames.dtype == torch.uint8 and frames.ndim == 4 and frames.shape[3] == 3
    elif isinstance(frames, np.ndarray):
        told = f"an array {frames.dtype} {frames.shape}"
        is_good = frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[3] == 3
    else:
        raise UserError(f"{name} is {type(frames).__name__}; accepted: {accepted}")
    if not is_good or 0 in frames.shape:
        raise UserError(f"{name} is {told}; accepted: {accepted}, of at least one frame")
    return np.asarray(frames)


def _open(
    path: str,
    *,
    open_file: SourceOpener,
    open_folder: SourceOpener,
    arrays: Mapping[str, np.ndarray],
    files: Mapping[str, str],
) -> FrameSource:
    if path in arrays:
        return ArraySource(path, arrays[path])
    if path in files:
        return open_file(files[path])
    if os.path.isdir(path):
        return open_folder(path)
    try:
        return open_file(path)
    except VideoReadError:
        if is_image(path) and os.path.exists(path):
            raise VideoReadError("is a picture; accepted: video files, and folders of images") from None
        raise
