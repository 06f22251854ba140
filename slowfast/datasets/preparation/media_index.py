"""Where the videos, or folders of frames, of a data set lie."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from slowfast.datasets.lists.class_folders import VIDEO_SUFFIXES
from slowfast.datasets.preparation.list_files import ResultLog
from slowfast.errors import UserError


@dataclass(frozen=True)
class MediaIndex:
    """Files, or folders of frames, by name.

    Attributes:
        by_name: name without suffix, and the same with the name of the folder before it, to the paths that have it,
            relative to the root.
        num_frames: by path, for folders of frames; 0 where the files are not numbered from 1 on without a gap.
    """

    by_name: dict[str, list[str]]
    num_frames: dict[str, int]

    def find(self, names: tuple[str, ...]) -> str | None:
        """The path of the first name that there is; of several paths the first in order."""
        return next((min(self.by_name[name]) for name in names if name in self.by_name), None)


def find_videos(root: Path, *, num_workers: int) -> list[str]:
    """Paths of all video files under a folder, by their suffix; relative to it and sorted.

    Args:
        root: the folder.
        num_workers: threads.

    Raises:
        UserError: if it is no folder, or holds none.
    """
    paths = [
        os.path.join(folder, name)
        for folder, names in _walk(root, num_workers=num_workers)
        for name in names
        if os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES
    ]
    if not paths:
        raise UserError(f"{root}: holds no video; accepted suffixes: {', '.join(sorted(VIDEO_SUFFIXES))}")
    return sorted(paths)


def index_videos(root: Path, *, num_workers: int) -> MediaIndex:
    """All video files under a folder; arguments and errors as those of ``find_videos``."""
    by_name: dict[str, list[str]] = {}
    for path in find_videos(root, num_workers=num_workers):
        _add(by_name, os.path.splitext(path)[0], path)
    return MediaIndex(by_name, {})


def index_frame_folders(root: Path, image_template: str, *, log: ResultLog, num_workers: int) -> MediaIndex:
    """Find all folders that hold images, and count these.

    Args:
        root: folder above them.
        image_template: file name of a frame, as DATA.IMAGE_TEMPLATE.
        log: counts of an earlier run; its folders are not looked into again.
        num_workers: threads.

    Raises:
        UserError: if there is none.
    """
    by_name: dict[str, list[str]] = {}
    suffix = os.path.splitext(image_template)[1]
    for folder, names in _walk(root, num_workers=num_workers, known=log.results):
        images = {name for name in names if name.endswith(suffix)}
        if images and folder:
            is_numbered = all(image_template.format(number) in images for number in range(1, len(images) + 1))
            log.add(folder, len(images) if is_numbered else 0)
    for folder in log.results:
        _add(by_name, folder, folder)
    if not by_name:
        raise UserError(f"{root}: holds no folder with images *{suffix}; see --image-template")
    return MediaIndex(by_name, log.results)


def _add(by_name: dict[str, list[str]], path_without_suffix: str, path: str) -> None:
    folder, name = os.path.split(path_without_suffix)
    by_name.setdefault(name, []).append(path)
    if folder:
        by_name.setdefault(f"{os.path.basename(folder)}/{name}", []).append(path)


def _walk(root: Path, *, num_workers: int, known: dict | None = None) -> Iterator[tuple[str, list[str]]]:
    """Folders at any depth, relative to the root ("" itself), and the names of the files in each; none of the known.

    Waiting for the disk is what takes long, so that threads serve.
    """
    if not root.is_dir():
        raise UserError(f"{root}: is no folder")
    pool = ThreadPoolExecutor(max(num_workers, 1))
    running: set[Future] = {pool.submit(_scan, root, "")}
    try:
        with tqdm(desc="folders", unit="", leave=False, disable=not sys.stderr.isatty()) as bar:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    folder, names, folders = future.result()
                    bar.update()
                    yield folder, names
                    running |= {pool.submit(_scan, root, child) for child in folders if child not in (known or {})}
    finally:
        pool.shutdown(cancel_futures=True)


def _scan(root: Path, folder: str) -> tuple[str, list[str], list[str]]:
    """A folder, its files' names and its folders' paths relative to the root; hidden ones do not count."""
    names, folders = [], []
    try:
        with os.scandir(root / folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    folders.append(os.path.join(folder, entry.name))
                else:
                    names.append(entry.name)
    except OSError as error:
        raise UserError(f"{root / folder}: cannot be listed: {error.strerror}") from None
    return folder, names, folders
