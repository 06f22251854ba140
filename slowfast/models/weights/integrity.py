"""Whether weights are what was once written: the checksums of a file, a hash of our own tensors, types, finite values.

PyTorch does not compare a file's checksums, and it converts whatever it finds: a checkpoint with random bytes in it
loads without a word, and so does one of 8-bit integers.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from slowfast.config.coerce import short
from slowfast.errors import UserError

# Key of our checkpoints: part -> hash of its tensors.
HASHES_KEY = "tensor_hashes"
HASHED_PARTS = ("model_state", "ema_state", "optimizer_state")
WEIGHT_TYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
AGAIN = "the file is damaged; copy or download it again"

_BLOCK_BYTES = 1 << 20
# PyTorch stores tensors as they are, and weights hardly compress; what unpacks to more is made to fill the memory.
_MAX_EXPANSION = 4
_MAX_SMALL_BYTES = 1 << 24


def check_archive(path: Path) -> None:
    """Compare the checksum (CRC-32) of every part of a zip file, which PyTorch's format has been since 1.6.

    It is read in blocks, and not again by this process unless it has changed. Other files carry no checksum.

    Raises:
        UserError: naming the part that has another one, or if the directory of the parts cannot be read, or they unpack
            to far more than the file.
    """
    status = os.stat(path)
    _check_unchanged_archive(path, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=64)
def _check_unchanged_archive(path: Path, _identity: tuple[int, ...]) -> None:
    if not is_archive(path):
        return
    refuse_bomb(path)
    part = None
    try:
        with zipfile.ZipFile(path) as archive:
            for part in archive.infolist():
                with archive.open(part) as content:
                    while content.read(_BLOCK_BYTES):
                        pass
    except Exception as error:  # zipfile raises many kinds for a damaged file
        if part is None:
            raise UserError(f"{path}: cannot be read as a checkpoint: {first_line(error)}; {AGAIN}") from None
        raise UserError(
            f"{path}: the checksum of its part {part.filename!r} does not fit ({first_line(error)}); {AGAIN} (or save "
            f"it anew, if it was saved with torch.serialization.set_crc32_options(False))"
        ) from None


def refuse_expansion(path: Path, num_bytes: int) -> None:
    """Refuse a file that asks for far more memory than it has bytes.

    Raises:
        UserError: with both sizes.
    """
    size = os.stat(path).st_size
    if num_bytes > max(_MAX_EXPANSION * size, _MAX_SMALL_BYTES):
        raise UserError(
            f"{path}: has {size:,} bytes and asks for {num_bytes:,} in memory; accepted: {_MAX_EXPANSION} times its "
            f"size"
        )


def refuse_bomb(path: Path) -> None:
    """Refuse a zip file that unpacks to far more than it has bytes; its directory alone is read.

    Raises:
        UserError: with both sizes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            num_bytes = sum(info.file_size for info in archive.infolist())
    except Exception:  # no zip file, or one that nobody can read
        return
    refuse_expansion(path, num_bytes)


def check_tensors(tree: Any, path: Path) -> None:
    """Refuse tensors of other kinds than weights are of, and those that share few bytes among many elements.

    Raises:
        UserError: naming the first one.
    """
    num_bytes = 0
    for name, value in tensors_in(tree):
        problem = _kind_problem(value)
        if problem:
            raise UserError(f"{path}: {short(name)} is {problem}; accepted: dense tensors with their values")
        num_bytes += value.numel() * value.element_size()
    refuse_expansion(path, num_bytes)


def _kind_problem(value: Tensor) -> str:
    if value.layout is not torch.strided or value.is_nested:
        return f"a tensor of the layout {str(value.layout).removeprefix('torch.')}"
    if value.is_quantized:
        return "a quantised tensor"
    return "" if value.device.type == "cpu" else f"a tensor without values here (device {value.device})"


def is_archive(path: Path) -> bool:
    """Whether a file is a zip file, or the beginning of one."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04" or zipfile.is_zipfile(path)


def first_line(error: Exception) -> str:
    """The first line of an error's message; its kind, if it has none."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def tensor_hashes(content: Mapping[str, Any]) -> dict[str, str]:
    """For each of ``HASHED_PARTS`` that a checkpoint has, the SHA-256 of its tensors: names, types, shapes and bytes.

    One tensor at a time is copied to the CPU.
    """
    return {part: _hash(content[part]) for part in HASHED_PARTS if isinstance(content.get(part), Mapping)}


def check_hash(content: Mapping[str, Any], part: str, source: str) -> None:
    """Compare the hash that a checkpoint of ours has of a part; older ones, and those of others, have none.

    Raises:
        UserError: if the tensors are not those that were saved.
    """
    hashes = content.get(HASHES_KEY)
    if hashes is not None and not isinstance(hashes, Mapping):
        raise UserError(f"{source}: its {HASHES_KEY} are {short(hashes)}, and no table of hashes; {AGAIN}")
    expected = None if hashes is None else hashes.get(part)
    if expected is not None and expected != _hash(content.get(part)):
        raise UserError(
            f"{source}: the tensors of its {part} are not those that were saved: their hash differs; {AGAIN} (if you "
            f"changed them yourself, leave out its key {HASHES_KEY})"
        )


def _hash(tree: Any) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(tensors_in(tree), key=itemgetter(0)):  # formats have orders of their own
        # A tensor without axes has no view as bytes.
        data = value.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode(errors="surrogateescape"))
        digest.update(memoryview(data.numpy()))
    return digest.hexdigest()


def tensors_in(tree: Any) -> Iterator[tuple[str, Tensor]]:
    """Names and values of the tensors in plain containers; of a container that occurs twice, once."""
    waiting, seen = [("", tree)], set()
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            told = [(key if isinstance(key, str) else short(key), item) for key, item in items]
            waiting += reversed([(f"{name}.{key}" if name else key, item) for key, item in told])


def check_types(weights: Mapping[str, Tensor], source: str, own: Mapping[str, Tensor] | None = None) -> None:
    """Refuse weights that are no floating-point numbers, such as quantised ones, whose scale is elsewhere.

    Args:
        weights: by name.
        source: for the message.
        own: a model's tensors, whose types say what is expected; without it, counts and indices (int64) may be there.

    Raises:
        UserError: naming the first one.
    """
    wrong = [name for name, value in weights.items() if value.dtype not in WEIGHT_TYPES and _is_float(name, value, own)]
    if wrong:
        kind = str(weights[wrong[0]].dtype).removeprefix("torch.")
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise UserError(
            f"{source}: {wrong[0]}{more} has the type {kind}; accepted: float32, float16, bfloat16 and float64. "
            f"Quantised weights are not read: use those that they were made from"
        )


def _is_float(name: str, value: Tensor, own: Mapping[str, Tensor] | None) -> bool:
    """Whether a tensor is to be one of floating-point numbers."""
    if own is not None:
        return name in own and own[name].is_floating_point()
    return value.dtype != torch.int64 or name.endswith((".weight", ".bias"))


def check_finite(weights: Mapping[str, Tensor], source: str) -> None:
    """Refuse tensors with values that are not finite.

    Raises:
        UserError: naming the first one, how many such values it has, and how many tensors have some.
    """
    wrong = [name for name, value in weights.items() if not _is_finite(value)]
    if wrong:
        value = weights[wrong[0]]
        number = value.numel() - int(value.isfinite().sum())
        more = f"; {len(wrong) - 1} more tensors have some" if len(wrong) > 1 else ""
        raise UserError(
            f"{source}: {number} of the {value.numel()} values of {wrong[0]} are not finite (NaN or infinite){more}; "
            f"it is damaged or of a training that diverged: use another checkpoint"
        )


def _is_finite(value: Tensor) -> bool:
    if value.dtype not in WEIGHT_TYPES or value.numel() == 0:
        return True
    # Without a mask as large as the tensor; NaN is smallest and largest at once.
    return all(bound.isfinite() for bound in value.aminmax())
