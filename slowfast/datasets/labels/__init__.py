"""Class names of public data sets, in the orders that public checkpoints use, and names that mean the same class.

One ``.txt`` file per list, one name per line, in the order of the labels:

- ``kinetics{400,600}_uniformer``: the order of the UniFormer authors' lists and checkpoints;
- ``kinetics{400,600,700}_alphabetical``: the order of most other lists, and of MMAction2's checkpoints;
- ``kinetics710_mmaction2``: Kinetics-710 as in MMAction2's checkpoints. ``kinetics710_uniformer`` is the authors'
  order: Kinetics-400 in theirs, then the remaining 310 classes as in MMAction2's, which is assumed: they published no
  list;
- ``something_something_v1`` and ``_v2``: the same 174 classes in two orders;
- ``moments_in_time_v1`` and ``activitynet200`` as in MMAction2's checkpoints, assumed for the authors', ``hmdb51``,
  ``ucf101``.

``kinetics710_to_kinetics{400,600,700}_channels.json`` give for each class of a Kinetics (in alphabetical order) its row
in ``kinetics710_mmaction2``; where names were changed between the versions, only they tell that the class is the same.
The authors' order of Kinetics-700 has never been published as text and is not here.
"""

import json
import os
from functools import cache
from pathlib import Path

from slowfast.config.coerce import short
from slowfast.datasets.lists.text_file import read_lines
from slowfast.errors import UserError

_FOLDER = Path(__file__).parent


def label_list_names() -> list[str]:
    """Names of the lists, without the ``.txt``."""
    return sorted(path.stem for path in _FOLDER.glob("*.txt"))


def label_list_path(name: str) -> Path:
    """The file of a list by its name; any other name is a path already."""
    return _FOLDER / f"{name}.txt" if name in label_list_names() else Path(name)


def load_label_list(name: str) -> list[str]:
    """Read a list by its name, or any other file of class names by its path.

    Raises:
        UserError: if there is neither, the file cannot be read, or a name occurs twice in it.
    """
    path = label_list_path(name)
    if not os.path.isfile(path):
        raise UserError(f"{name}: no list of class names; accepted: a file or one of {', '.join(label_list_names())}")
    names = read_lines(path, "class names")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{path}: {short(twice)} occurs twice; expected distinct class names, one per line")
    return names


def load_class_names(path: Path, num_classes: int) -> list[str]:
    """Read class names, one per line, in the order of the labels.

    Raises:
        UserError: if the file cannot be read or does not hold ``num_classes`` distinct names.
    """
    try:
        names = read_lines(path, "class names")
    except UserError as error:
        raise UserError(f"DATA.CLASS_NAMES_FILE {error}") from None
    if len(names) != num_classes or len(set(names)) != num_classes:
        raise UserError(
            f"DATA.CLASS_NAMES_FILE {path}: {len(names)} names, {len(set(names))} of them distinct; "
            f"expected one per line for each of MODEL.NUM_CLASSES {num_classes} classes"
        )
    return names


def class_key(name: str) -> str:
    """What the names of one class have in common across lists.

    Letters and digits in lower case ("eating_burger", "Eating burger"), and for a class of Kinetics-400, -600 or -700
    that was renamed, the key of its name in Kinetics-710 ("dying hair" is "dyeing hair").
    """
    key = _letters_and_digits(name)
    return _renamed().get(key, key)


def _letters_and_digits(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


@cache
def _renamed() -> dict[str, str]:
    """Keys of the Kinetics names that the channel maps translate to another name of Kinetics-710."""
    kinetics710 = load_label_list("kinetics710_mmaction2")
    renamed = {}
    for size in (400, 600, 700):
        rows = json.loads((_FOLDER / f"kinetics710_to_kinetics{size}_channels.json").read_text())
        for name, row in zip(load_label_list(f"kinetics{size}_alphabetical"), rows, strict=True):
            ours, theirs = _letters_and_digits(name), _letters_and_digits(kinetics710[row])
            if ours != theirs:
                renamed[ours] = theirs
    return renamed
