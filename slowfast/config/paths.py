"""Keys that name files or folders: a ``~`` at their beginning is the user's home, wherever the value comes from."""

import os
from typing import Any

# Sections add theirs (``sections.py``); PLUGINS and _BASE_ are read before these (``load.py``).
PATH_KEYS = {
    "DATA.CLASS_NAMES_FILE",
    "DATA.LABEL_PATH_TEMPLATE",
    "DATA.PATH_PREFIX",
    "DATA.PATH_TO_DATA_DIR",
    "MODEL.CHECKPOINT_CLASS_ORDER",
    "MODEL.CLASS_WEIGHTS",
    "MODEL.WEIGHTS_DIR",
    "OUTPUT_DIR",
    "TEST.CHECKPOINT_FILE_PATH",
    "TRAIN.CHECKPOINT_FILE_PATH",
}
# What may stand before a path, and says how the file is read.
_PREFIXES = ("jit:",)


def expand_home(key: str, value: Any) -> Any:
    """The value of a key with its home folder written out; one that is no path, or has no such folder, as it is."""
    if key not in PATH_KEYS or not isinstance(value, str):
        return value
    prefix = next((prefix for prefix in _PREFIXES if value.startswith(prefix)), "")
    return prefix + os.path.expanduser(value.removeprefix(prefix))
