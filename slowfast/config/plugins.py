"""Code from outside the package: files that register models, losses, data sets or transforms of their own.

They run as part of this program, so that only the user names them: by ``--plugins`` and by ``PLUGINS`` in a config of
their own. What comes with weights (the config in a checkpoint, or one that was downloaded) never does.
"""

import hashlib
import os
import pickle
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

from slowfast.errors import UserError

# Resolved path -> the content that was imported.
_LOADED: dict[str, bytes] = {}
# Resolved paths of the files that are just being imported, the outermost first.
_importing: list[str] = []


def import_plugins(paths: Iterable[str]) -> list[str]:
    """Import files of Python code, each once per process.

    Args:
        paths: of the files, in the order in which they are imported.

    Returns:
        Their resolved paths, each once.

    Raises:
        UserError: if there is no such file, it raises an error (file:line), it imports itself, or it has changed since
            it was imported.
    """
    return list(dict.fromkeys(_import(Path(os.path.expanduser(path))) for path in paths))


def loaded_plugins() -> dict[str, str]:
    """Resolved path -> SHA-256 of the content, of the files that have been imported, in order."""
    return {path: hashlib.sha256(content).hexdigest() for path, content in _LOADED.items()}


def describe_plugins() -> list[str]:
    """One line for the log per imported file: its path and the SHA-256 of its content."""
    return [f"plugin {path}, SHA-256 {digest}" for path, digest in loaded_plugins().items()]


class PicklesWithPlugins:
    """A class whose objects may hold others of plugins' classes, and are sent to processes that have not imported them.

    Such a process imports the files first and unpickles the rest of the object then. It gets their content along: all
    processes of a run work by the same code, also those that start after somebody has edited a file.
    """

    def __getstate__(self) -> dict[str, Any]:
        if not _LOADED:
            return self.__dict__
        return {"plugins": dict(_LOADED), "pickled": pickle.dumps(self.__dict__)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state.keys() == {"plugins", "pickled"}:
            _import_contents(state["plugins"])
            state = pickle.loads(state["pickled"])  # made by ``__getstate__`` in a process of this run
        self.__dict__.update(state)


def _import_contents(contents: Mapping[str, bytes]) -> None:
    for path, content in contents.items():
        if path not in _LOADED:
            _execute(path, content)


def _import(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"--plugins {path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL in the path
        raise UserError(f"--plugins {str(path)!r}: cannot be read: {error}") from None
    resolved = str(path.resolve())
    if path.suffix != ".py":
        raise UserError(f"--plugins {path}: accepted: files of Python code, which end in .py")
    if resolved not in _LOADED:
        _execute(resolved, content)
    elif _LOADED[resolved] != content:
        raise UserError(f"--plugins {path}: has changed since it was imported; start the program again")
    return resolved


def _execute(path: str, content: bytes) -> None:
    """Make a module of the very content whose hash is told; Python's own import might take an older one's bytecode."""
    if path in _importing:
        raise UserError(f"{path} imports itself; leave that to --plugins")
    # By path, not by name: two files of one name are two modules, and the same file is the same in every process. A dot
    # would make it a module of a package that there is not, from which nothing can be unpickled.
    stem = re.sub(r"\W", "_", Path(path).stem)
    name = f"slowfast_plugin_{stem}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
    loader = SourceFileLoader(name, path)
    module = module_from_spec(spec_from_loader(name, loader))
    sys.modules[name] = module
    _importing.append(path)
    try:
        exec(loader.source_to_code(content, path), module.__dict__)
    except (Exception, SystemExit) as error:  # a script that ends the program would end ours as if all were done
        del sys.modules[name]
        raise UserError(f"{_place(error, path)}: {type(error).__name__}: {_first_line(error)}") from error
    finally:
        _importing.remove(path)
    _LOADED[path] = content


def _place(error: BaseException, path: str) -> str:
    """file:line of an error: the last line of the plugin that led to it."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"{path}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path


def _first_line(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return " ".join(text.split()) or "no message"
