"""The one way to find files in folders: at any depth, through links, and never in a circle."""

import os
import sys
from collections import Counter
from collections.abc import Container, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from slowfast.errors import UserError

VIDEO_SUFFIXES = frozenset(
    (
        *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
        *(".ogv", ".ts", ".vob", ".webm", ".wmv"),
    )
)
# Waiting for the disk is what takes long, so that threads serve.
NUM_THREADS = 8
_MAX_KINDS = 10


class Folder(NamedTuple):
    """What a folder holds; hidden files and folders do not count.

    Attributes:
        path: relative to the root; "" is the root itself.
        files: their names, links to files included.
        odd: what is neither a file nor a folder that is looked into, by kind.
    """

    path: str
    files: list[str]
    odd: Counter


@dataclass(frozen=True)
class FoundVideos:
    """The videos of a folder.

    Attributes:
        paths: relative to it, sorted.
        left_out: how many other files there are, by suffix or kind.
    """

    paths: list[str]
    left_out: Counter = field(default_factory=Counter)

    def told_left_out(self) -> str:
        """For people: "left out: 3 .txt, 1 without suffix"; "" for nothing."""
        if not self.left_out:
            return ""
        kinds = sorted(self.left_out.items(), key=lambda item: (-item[1], item[0]))
        shown = [f"{count} {kind}" for kind, count in kinds[:_MAX_KINDS]]
        if len(kinds) > _MAX_KINDS:
            shown.append(f"{sum(count for _, count in kinds[_MAX_KINDS:])} others")
        return f"left out: {', '.join(shown)}"


def is_video(name: str) -> bool:
    """Whether a file's suffix is that of a video."""
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES


def find_videos(root: Path, *, num_workers: int = NUM_THREADS) -> FoundVideos:
    """All video files at any depth of a folder, by their suffix; links are followed.

    Args:
        root: the folder.
        num_workers: threads.

    Raises:
        UserError: if it is no folder, holds no video, or a folder in it cannot be listed.
    """
    found = find_any_videos(root, num_workers=num_workers)
    if not found.paths:
        raise UserError(f"{root}: holds no video; accepted suffixes: {', '.join(sorted(VIDEO_SUFFIXES))}")
    return found


def find_any_videos(root: Path, *, num_workers: int = NUM_THREADS) -> FoundVideos:
    """As ``find_videos``, but there need not be any."""
    paths, left_out = [], Counter()
    for folder in walk_folders(root, num_workers=num_workers):
        left_out += folder.odd
        for name in folder.files:
            if is_video(name):
                paths.append(os.path.join(folder.path, name))
            else:
                left_out[os.path.splitext(name)[1].lower() or "without suffix"] += 1
    return FoundVideos(sorted(paths), left_out)


def walk_folders(root: Path, *, num_workers: int = NUM_THREADS, known: Container[str] = ()) -> Iterator[Folder]:
    """A folder and all folders in it, at any depth; a link to a folder above itself is not followed.

    Args:
        root: the folder.
        num_workers: threads.
        known: paths of folders that are not looked into.

    Raises:
        UserError: if it is no folder, or one in it cannot be listed.
    """
    if not os.path.isdir(root):
        raise UserError(f"{root}: is no folder")
    pool = ThreadPoolExecutor(max(num_workers, 1))
    running: set[Future] = {pool.submit(_scan, root, "", ())}
    try:
        with tqdm(desc="folders", unit="", leave=False, disable=not sys.stderr.isatty()) as bar:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    folder, inner, above = future.result()
                    bar.update()
                    yield folder
                    running |= {pool.submit(_scan, root, child, above) for child in inner if child not in known}
    finally:
        pool.shutdown(cancel_futures=True)


def _scan(
    root: Path, path: str, above: tuple[tuple[int, int], ...]
) -> tuple[Folder, list[str], tuple[tuple[int, int], ...]]:
    """A folder, the paths of those in it, and what identifies it and those above it."""
    files, inner, odd = [], [], Counter()
    try:
        status = os.stat(root / path)
        own = (status.st_dev, status.st_ino)
        if own in above:
            odd["links in a circle"] += 1
            return Folder(path, files, odd), inner, above
        with os.scandir(root / path) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                # What a link cannot be followed to is neither; an entry's own methods raise then.
                is_link = entry.is_symlink()
                if os.path.isdir(entry.path) if is_link else entry.is_dir():
                    inner.append(os.path.join(path, entry.name))
                elif os.path.isfile(entry.path) if is_link else entry.is_file():
                    files.append(entry.name)
                else:
                    odd["broken links" if is_link else "special files"] += 1
    except OSError as error:
        raise UserError(f"{root / path}: cannot be listed: {error.strerror}") from None
    return Folder(path, files, odd), inner, (*above, own)
