"""Files that a run writes: whole or not at all, with names of any bytes, and one line where they cannot be."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from slowfast.errors import UserError

# Text with names of files in it: bytes that are not UTF-8 are kept as they are, both ways.
NAMES = {"encoding": "utf-8", "errors": "surrogateescape"}


@contextlib.contextmanager
def writing(path: Path, remedy: str = "") -> Iterator[None]:
    """Say in one line what the system refuses, such as "No space left on device".

    Args:
        path: the file or folder that is written.
        remedy: what to do about it; "" where the cause tells enough.

    Raises:
        UserError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error, remedy) from error


def cannot_write(path: Path, error: BaseException, remedy: str = "") -> UserError:
    """The error of ``writing``."""
    return UserError(f"{path}: cannot be written: {system_cause(error)}{f'; {remedy}' if remedy else ''}")


def system_cause(error: BaseException) -> str:
    """What the system said of an error in words, such as "No space left on device"; else the error's first line.

    PyTorch makes another error of it, with an advice to look at the file.
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        link = link.__cause__ or link.__context__
    return (str(error).splitlines() or [type(error).__name__])[0]


def write_whole(path: Path, write: Callable[[BinaryIO], Any], remedy: str = "") -> None:
    """Write a file under a temporary name beside it, and rename it once all of it is on the disk.

    What is no file, such as /dev/stdout or a pipe, is written to and never replaced.

    Args:
        path: the file; until the new one is whole, an older one stays.
        write: writes the content.
        remedy: as for ``writing``.

    Raises:
        UserError: if it cannot be written.
    """
    with writing(path, remedy):
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as file:
                write(file)
            return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path, remedy):
            with temporary.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, remedy: str = "") -> None:
    """Write a text file in one piece: UTF-8, with names of any bytes; arguments and errors as for ``write_whole``."""
    content = text.encode(**NAMES)
    write_whole(path, lambda file: file.write(content), remedy)


def why_no_folder(path: Path) -> str:
    """Why a path is no folder, in the system's words where it has some; "" for a folder.

    A program that only looks whether a path exists, as ``os.path`` does, takes what it may not see for missing.
    """
    try:
        return "" if stat.S_ISDIR(os.stat(path).st_mode) else "is no folder"
    except FileNotFoundError:
        return "is no folder"
    except (OSError, ValueError) as error:  # a name that no file has
        return f"cannot be read: {system_cause(error)}"


def make_folder(folder: Path, remedy: str = "") -> None:
    """Make a folder and those above it, unless they are there.

    Raises:
        UserError: if that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        told = f"{folder}: the folder cannot be made: {error.strerror}"
        raise UserError(f"{told}; {remedy}" if remedy else told) from error
