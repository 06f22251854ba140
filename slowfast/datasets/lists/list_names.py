"""Which list file, or folder of class folders, serves a split."""

import filecmp
import logging
import os
from pathlib import Path
from typing import Literal

from slowfast.errors import UserError

logger = logging.getLogger(__name__)

Split = Literal["train", "val", "test"]

# Which list serves a split; of several, the first one that exists.
# Published figures are of the validation videos: test lists are theirs, and people's own videos may do without.
VAL_IF_NO_TEST: dict[Split, tuple[str, ...]] = {"train": ("train",), "val": ("val",), "test": ("test", "val")}
# Something-Something is tested on its validation videos, as published: those of its test set had no public labels.
TEST_IS_VAL: dict[Split, tuple[str, ...]] = {"train": ("train",), "val": ("val",), "test": ("val",)}
# UCF101 and HMDB51 come with two lists each, and the second one serves for both.
TEST_OR_VAL: dict[Split, tuple[str, ...]] = {"train": ("train",), "val": ("val", "test"), "test": ("test", "val")}
# What a list may be called: the published lists of Something-Something say "validation".
SPELLINGS = {"train": ("train",), "val": ("val", "validation"), "test": ("test",)}


def find_list(folder: str, template: str, name: str) -> Path:
    """The list by any of the spellings of its name; the first spelling, if there is none.

    Args:
        folder: of the lists.
        template: of a file name; its braces take the name.
        name: a key of ``SPELLINGS``.

    Raises:
        UserError: if there are two that differ.
    """
    paths = [Path(folder, template.format(spelling)) for spelling in SPELLINGS[name]]
    present = [path for path in paths if os.path.exists(path)]
    for path in present[1:]:
        if not _is_same_file(path, present[0]):
            raise UserError(
                f"{folder}: {present[0].name} and {path.name} are both its {name} list, but differ; remove one"
            )
    return present[0] if present else paths[0]


def _is_same_file(one: Path, other: Path) -> bool:
    """Whether two files have the same content; False if they cannot be read."""
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def first_that_exists(paths: list[Path], split: Split) -> Path:
    """The first path that exists, else the first; one that stands in for another is logged."""
    path = next((path for path in paths if os.path.exists(path)), paths[0])
    if path != paths[0]:
        logger.info("%s: there is no %s; %s serves for %s, too", path.parent, paths[0].name, path.name, split)
    return path
