"""Code from outside the package: files that register models, losses, data sets or transforms of their own.

They run as part of this program, so that only the user names them: by ``--plugins`` and by ``PLUGINS`` in a config of
their own. What comes with weights (the config in a checkpoint, or one that was downloaded) never does.
"""

import hashlib
import importlib.util
import pickle
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from slowfast.errors import UserError

# Resolved path -> SHA-256 of the content that was imported.
_LOADED: dict[str, str] = {}


def import_plugins(paths: Iterable[str]) -> list[str]:
    """Import files of Python code, each once per process.

    Args:
        paths: of the files, in the order in which they are imported.

    Returns:
        Their resolved paths.

    Raises:
        UserError: if there is no such file, it raises an error (file:line), or it has changed since it was imported.
    """
    return [_import(Path(path).expanduser()) for path in paths]


def loaded_plugins() -> dict[str, str]:
    """Resolved path -> SHA-256 of the content, of the files that have been imported, in order."""
    return dict(_LOADED)


def describe_plugins() -> list[str]:
    """One line for the log per imported file: its path and the SHA-256 of its content."""
    return [f"plugin {path}, SHA-256 {digest}" for path, digest in _LOADED.items()]


class PicklesWithPlugins:
    """A class whose objects may hold others of plugins' classes, and are sent to processes that have not imported them.

    Such a process imports the files first and unpickles the rest of the object then.
    """

    def __getstate__(self) -> dict[str, Any]:
        if not _LOADED:
            return self.__dict__
        return {"plugins": list(_LOADED), "pickled": pickle.dumps(self.__dict__)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state.keys() == {"plugins", "pickled"}:
            import_plugins(state["plugins"])
            state = pickle.loads(state["pickled"])  # made by ``__getstate__`` in a process of this run
        self.__dict__.update(state)


def _import(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"--plugins {path}: cannot be read: {error.strerror}") from None
    resolved, digest = str(path.resolve()), hashlib.sha256(content).hexdigest()
    if path.suffix != ".py":
        raise UserError(f"--plugins {path}: accepted: files of Python code, which end in .py")
    if resolved in _LOADED:
        if _LOADED[resolved] != digest:
            raise UserError(f"--plugins {path}: has changed since it was imported; start the program again")
        return resolved
    # By content, not by name: two files of one name are two modules, and the same file is the same in every process.
    name = f"slowfast_plugin_{path.stem}_{hashlib.sha256(resolved.encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, resolved)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"{_place(error, resolved)}: {type(error).__name__}: {_first_line(error)}") from error
    _LOADED[resolved] = digest
    return resolved


def _place(error: Exception, path: str) -> str:
    """file:line of an error: the last line of the plugin that led to it."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"{path}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path


def _first_line(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return " ".join(text.split()) or "no message"
