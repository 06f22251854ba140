"""Where the videos, or folders of frames, of a data set lie."""

import os
from dataclasses import dataclass
from pathlib import Path

from slowfast.datasets.lists.folder_walk import find_videos, walk_folders
from slowfast.datasets.preparation.list_files import ResultLog
from slowfast.errors import UserError


@dataclass(frozen=True)
class MediaIndex:
    """Files, or folders of frames, by name.

    Attributes:
        by_name: name without suffix, and the same with the name of the folder before it, to the paths that have it,
            relative to the root.
        num_frames: by path, for folders of frames; 0 where the files are not numbered from 1 or 0 on without a gap.
    """

    by_name: dict[str, list[str]]
    num_frames: dict[str, int]

    def find(self, names: tuple[str, ...]) -> str | None:
        """The path of the first name that there is; of several paths the first in order."""
        return next((min(self.by_name[name]) for name in names if name in self.by_name), None)


def index_videos(root: Path, *, num_workers: int) -> MediaIndex:
    """All video files under a folder, by their suffix.

    Args:
        root: the folder.
        num_workers: threads.

    Raises:
        UserError: if it is no folder, or holds none.
    """
    by_name: dict[str, list[str]] = {}
    for path in find_videos(root, num_workers=num_workers).paths:
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
    for folder, names, _ in walk_folders(root, num_workers=num_workers, known=log.results):
        images = {name for name in names if name.endswith(suffix)}
        if images and folder:
            is_numbered = any(
                all(image_template.format(number) in images for number in range(start, start + len(images)))
                for start in (1, 0)
            )
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
