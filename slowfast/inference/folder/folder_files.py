"""Reading, writing and hashing the files of a model folder."""

import hashlib
import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from slowfast.errors import UserError

AGAIN = "copy or download the folder again, or publish the model again"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        UserError: if it is missing, or cannot be read.
    """
    _check_is_file(path)
    try:
        return load_file(path)
    except FileNotFoundError:  # also what the library makes of a file that may not be read
        if path.exists():
            raise UserError(f"{path}: cannot be read: this user may not") from None
        raise UserError(f"{path}: is missing; {AGAIN}") from None
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(f"{path}: cannot be read: {str(error).splitlines()[0]}; {AGAIN}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        UserError: if the file is missing, or holds none.
    """
    _check_is_file(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; {AGAIN}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read: {error}; {AGAIN}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no object; {AGAIN}")
    return content


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, like: Path) -> None:
    """Write a safetensors file that may be read by whom ``like`` may be.

    Raises:
        OSError: if it cannot be written.
    """
    try:
        save_file(dict(tensors), path, {"format": "pt"})
    except safetensors.SafetensorError as error:  # what the library makes of a full disk
        raise OSError(str(error).removeprefix("Error while serializing: ")) from error
    # The library leaves it to its owner alone.
    path.chmod(like.stat().st_mode)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object for people, too."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def file_hash(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        UserError: if it is missing, or cannot be read.
    """
    _check_is_file(path)
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; {AGAIN}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def _check_is_file(path: Path) -> None:
    """Whoever reads a pipe waits for its other end, and a device may have none."""
    try:
        kind = path.stat().st_mode
    except OSError:  # which reading tells
        return
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise UserError(f"{path}: is a pipe or a device, not a file; {AGAIN}")


def tensor_hash(value: Tensor) -> str:
    """SHA-256 of type, shape and bytes."""
    data = value.contiguous().flatten().view(torch.uint8)
    digest = hashlib.sha256(f"{value.dtype} {tuple(value.shape)}\n".encode())
    digest.update(memoryview(data.numpy()))
    return digest.hexdigest()


def names_hash(names: Sequence[str] | None) -> str:
    """SHA-256 of class names in their order."""
    return hashlib.sha256(json.dumps(names, ensure_ascii=False).encode()).hexdigest()
