"""Videos that lie in one folder a class, without any list."""

import difflib
from pathlib import Path

from slowfast.datasets.records import VideoRecord
from slowfast.errors import UserError

VIDEO_SUFFIXES = frozenset(
    (
        *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
        *(".ogv", ".ts", ".vob", ".webm", ".wmv"),
    )
)


def list_class_folders(folder: Path) -> list[str]:
    """Names of the classes of a folder: its sub-folders, sorted; hidden ones do not count.

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


def list_videos(folder: Path) -> list[Path]:
    """Video files at any depth of a folder, by their suffix; sorted, without hidden ones."""
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    return sorted(path for path in paths if not path.name.startswith(".") and path.is_file())


def load_class_folders(root: Path, split: str, *, class_names: list[str], num_classes: int) -> list[VideoRecord]:
    """The videos of ``root``/``split``/<class>/.

    Args:
        root: folder of the splits (DATA.PATH_TO_DATA_DIR).
        split: train, val or test.
        class_names: in the order of the labels. A split may lack classes, but has no others.
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
    labels = {name: label for label, name in enumerate(class_names)}
    records = []
    for name in list_class_folders(folder):
        if name not in labels:
            nearest = difflib.get_close_matches(name, class_names, n=1, cutoff=0.0)[0]
            raise UserError(f"{folder / name}: is not one of the {num_classes} classes; the nearest is {nearest!r}")
        records += [VideoRecord(str(path), labels[name]) for path in list_videos(folder / name)]
    if not records:
        raise UserError(f"{folder}: its class folders hold no video; accepted: {', '.join(sorted(VIDEO_SUFFIXES))}")
    return sorted(records, key=lambda record: (record.label, record.path))
