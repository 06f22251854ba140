"""Videos that lie in one folder a class, without any list."""

import difflib
import logging
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from slowfast.datasets.lists.columns import record_columns
from slowfast.datasets.lists.folder_walk import NUM_THREADS, VIDEO_SUFFIXES, FoundVideos, find_any_videos
from slowfast.datasets.lists.record_table import RecordTable, TableBuilder
from slowfast.datasets.records import VideoRecord
from slowfast.errors import UserError
from slowfast.runtime import distributed

logger = logging.getLogger(__name__)

_MAX_NAMED = 5


def list_class_folders(folder: Path) -> list[str]:
    """Names of the classes of a folder: its sub-folders and links to folders, sorted; hidden ones do not count.

    Raises:
        UserError: if it is no folder or has no sub-folder.
    """
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"{folder}: cannot list the class folders: {error.strerror}") from None
    if not names:
        raise UserError(f"{folder}: has no sub-folders; expected one per class, with the class's videos in it")
    return names


def find_class_videos(
    folder: Path, class_names: Sequence[str], *, num_workers: int = NUM_THREADS
) -> dict[str, list[str]]:
    """Videos at any depth of class folders; one line of the log tells what is left out.

    Args:
        folder: above the class folders; its other folders and files do not count.
        class_names: their names.
        num_workers: threads.

    Returns:
        For each class, paths relative to the folder, sorted.

    Raises:
        UserError: if a folder cannot be listed, or there is no video at all.
    """
    found = find_any_videos(folder, num_workers=num_workers)
    videos: dict[str, list[str]] = {name: [] for name in class_names}
    num_outside = 0
    for path in found.paths:
        name, is_inside, _ = path.partition("/")
        if is_inside and name in videos:
            videos[name].append(path)
        else:
            num_outside += 1
    if num_outside == len(found.paths):
        raise UserError(f"{folder}: its class folders hold no video; accepted: {', '.join(sorted(VIDEO_SUFFIXES))}")
    if num_outside:
        found.left_out["videos outside of class folders"] = num_outside
    _log_what_is_there(folder, videos, found)
    return videos


def told_empty(class_names: Collection[str], num_classes: int) -> str:
    """For people: which classes have no videos; "" for none."""
    if not class_names:
        return ""
    named = ", ".join(list(class_names)[:_MAX_NAMED]) + (", ..." if len(class_names) > _MAX_NAMED else "")
    return f"{len(class_names)} of {num_classes} classes have no videos: {named}"


def _log_what_is_there(folder: Path, videos: dict[str, list[str]], found: FoundVideos) -> None:
    if not distributed.is_main():
        return
    empty = told_empty([name for name, paths in videos.items() if not paths], len(videos))
    counted = f"{sum(map(len, videos.values()))} videos in {len(videos)} classes"
    line = "; ".join(filter(None, (counted, found.told_left_out(), empty)))
    logger.log(logging.WARNING if empty else logging.INFO, "%s: %s", folder, line)


def load_class_folders(root: Path, split: str, *, class_names: list[str], num_classes: int) -> RecordTable:
    """The videos of ``root``/``split``/<class>/.

    Args:
        root: folder of the splits (DATA.PATH_TO_DATA_DIR).
        split: train, val or test.
        class_names: in the order of the labels. A split may lack classes, which is logged, but has no others.
        num_classes: expected number of classes (MODEL.NUM_CLASSES).

    Returns:
        At least one record, sorted by class and path.

    Raises:
        UserError: naming the folder, if it is missing, has no video or a class of its own, or the number is wrong.
    """
    if len(class_names) != num_classes:
        shown = ", ".join(class_names[:5]) + (", ..." if len(class_names) > 5 else "")
        raise UserError(
            f"{root}: has {len(class_names)} classes ({shown}), but MODEL.NUM_CLASSES is {num_classes}; "
            f"set MODEL.NUM_CLASSES {len(class_names)}"
        )
    folder = root / split
    for name in list_class_folders(folder):
        if name not in class_names:
            nearest = difflib.get_close_matches(name, class_names, n=1, cutoff=0.0)[0]
            raise UserError(f"{folder / name}: is not one of the {num_classes} classes; the nearest is {nearest!r}")
    videos = find_class_videos(folder, class_names)
    builder = TableBuilder(folder)
    builder.add(
        record_columns(
            [
                VideoRecord(os.path.join(folder, path), label)
                for label, name in enumerate(class_names)
                for path in videos[name]
            ]
        )
    )
    return builder.build()
