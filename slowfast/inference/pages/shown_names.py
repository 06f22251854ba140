"""What a page calls videos and files, for readers who may see their paths and for those who may not."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from slowfast.config.paths import PATH_KEYS

_SEP = re.escape(os.sep)
# A path in quotes, which may have spaces in it, or a word that is one.
_PATH = re.compile(rf"'[^']*{_SEP}[^']*'|\"[^\"]*{_SEP}[^\"]*\"|\S*{_SEP}\S*?(?=[,;:]?(?:\s|$))")
_WITHOUT_PATH = "(a path)"


class ShownNames:
    """Names of videos and files, as text that can be written as UTF-8, whatever their paths are.

    Args:
        paths: of the videos.
        has_paths: call them by their paths, else by numbers.
    """

    def __init__(self, paths: Sequence[str], has_paths: bool) -> None:
        self._numbers = {path: number for number, path in enumerate(paths, start=1)}
        self._has_paths = has_paths

    def __call__(self, path: str) -> str:
        """The name of a video."""
        if self._has_paths:
            return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
        return f"video {self._numbers.setdefault(path, len(self._numbers) + 1)}"

    def file(self, path: str) -> str:
        """The name of a file or folder that is no video."""
        return path if self._has_paths else os.path.basename(os.path.normpath(path)) if path else ""

    def text(self, text: str, path: str = "") -> str:
        """A sentence that may speak of paths, such as that of the video ``path``."""
        if self._has_paths:
            return text
        if path:
            text = text.replace(path, self(path)).replace(os.path.basename(path) or path, self(path))
        return _PATH.sub(_WITHOUT_PATH, text)

    def settings(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Keys of the config and their values, without those that hold paths where these are not shown."""
        shown = {key: value for key, value in values.items() if self._has_paths or not _holds_path(key, value)}
        return [(key, str(value)) for key, value in shown.items()]


def _holds_path(key: str, value: object) -> bool:
    return key in PATH_KEYS or key == "PLUGINS" or os.sep in str(value)
