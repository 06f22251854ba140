"""Two runs of training side by side: where their metrics and their checkpoints begin to differ, and by how much.

Tensors count as the same if every bit is. What a run does not compute is left out: times, memory, paths, versions.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from slowfast.engine.checkpoint import CheckpointFolder
from slowfast.errors import UserError
from slowfast.models.weights.files import read_checkpoint
from slowfast.models.weights.integrity import HASHES_KEY
from slowfast.visualization.metrics_file import find_log, load_lines

# Endings of names, which are units: seconds, or per second, and memory.
_MEASURED = ("_s", "_gib")
# The config holds paths, the hashes tell of tensors that are compared, and the log line that a checkpoint is in the
# midst of holds times.
_LEFT_OUT = ("config", "versions", HASHES_KEY)
_LEFT_OUT_OF_METER = ("sums", "elapsed_s")


@dataclass(frozen=True)
class Comparison:
    """What two runs have in common, and what not.

    Attributes:
        num_lines: of metrics that both have.
        num_checkpoints: that both have.
        differences: one line each: the first of the metrics, the first of each checkpoint, and what only one has.
    """

    num_lines: int
    num_checkpoints: int
    differences: list[str]

    def report(self) -> str:
        """ "identical" and what that rests on, or the differences, a line each."""
        common = f"{self.num_lines} lines of metrics and {self.num_checkpoints} checkpoints"
        return "\n".join(self.differences) if self.differences else f"identical: {common}"


def compare_runs(one: Path, other: Path) -> Comparison:
    """Compare the metrics and the checkpoints of two trainings.

    Args:
        one, other: their ``OUTPUT_DIR``.

    Raises:
        UserError: if one is no folder of a training, both are the same, or a log or checkpoint cannot be read.
    """
    for folder in (one, other):
        if not os.path.isdir(folder):
            raise UserError(f"{folder}: there is no such folder; give the OUTPUT_DIR of a training")
    if one.resolve() == other.resolve():
        raise UserError(f"{other}: this run is given twice; give the OUTPUT_DIR of two")
    lines = [{(line["step"], line["kind"]): line for line in load_lines(find_log(folder))} for folder in (one, other)]
    files = [{path.name: path for path in CheckpointFolder(folder).all()} for folder in (one, other)]
    differences = [*_compare_metrics(*lines), *_only_in_one(*([_line_name(key) for key in part] for part in lines))]
    names = [name for name in files[0] if name in files[1]]
    # The best and the last checkpoint are often second names of an epoch's: the same pair of files is compared once.
    pairs: dict[tuple[tuple[int, int], ...], str] = {}
    for name in names:
        pairs.setdefault(tuple(_identity(part[name]) for part in files), name)
    for name in pairs.values():
        differences += _compare_checkpoints(name, files[0][name], files[1][name])
    differences += _only_in_one(*map(list, files))
    return Comparison(len(lines[0].keys() & lines[1].keys()), len(names), differences)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _line_name(key: tuple[int, str]) -> str:
    return f"step {key[0]} ({key[1]})"


def _only_in_one(one: list[str], other: list[str]) -> Iterator[str]:
    """What only the first or only the second has, a line each."""
    for number, own, others in (("first", one, other), ("second", other, one)):
        names = [name for name in own if name not in others]
        if names:
            more = f", and {len(names) - 1} more, to {names[-1]}" if len(names) > 1 else ""
            yield f"only in the {number} run: {names[0]}{more}"


def _compare_metrics(one: dict[tuple[int, str], dict], other: dict[tuple[int, str], dict]) -> Iterator[str]:
    """The first value that differs, in the order of training, if there is one."""
    found = [
        (key, name)
        for key in one
        if key in other
        for name in one[key] | other[key]
        if not name.endswith(_MEASURED) and not _is_same(one[key].get(name), other[key].get(name))
    ]
    if found:
        key, name = found[0]
        lines = {key for key, _ in found}
        yield (
            f"metrics: {_line_name(key)}: {name} {_told(one[key].get(name), other[key].get(name))}; "
            f"{len(lines)} of {len(one.keys() & other.keys())} lines differ"
        )


def _compare_checkpoints(name: str, one: Path, other: Path) -> Iterator[str]:
    """The first value that differs, in the order of the file, if there is one."""
    leaves = [dict(_leaves(read_checkpoint(path), "")) for path in (one, other)]
    names = leaves[0] | leaves[1]
    found = [
        leaf
        for leaf in names
        if leaf not in leaves[0] or leaf not in leaves[1] or not _is_same(leaves[0][leaf], leaves[1][leaf])
    ]
    if not found:
        return
    first, (a, b) = found[0], leaves
    if first not in a or first not in b:
        told = f"is only in the {'first' if first in a else 'second'} run"
    else:
        told = _told(a[first], b[first])
    yield f"{name}: {first} {told}; {len(found)} of {len(names)} values differ"


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Names and values of a tree of plain containers; an empty dictionary has none."""
    if isinstance(value, dict):
        for key, item in value.items():
            is_left_out = key in _LEFT_OUT if not name else name.endswith(".meter") and key in _LEFT_OUT_OF_METER
            if not is_left_out:
                yield from _leaves(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(item, Tensor | dict | list | tuple) for item in value):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{name}[{i}]")
    else:
        yield name, value


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are of one type and have the same bits; every NaN of plain numbers is one."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        # Bits, so that NaN is NaN and -0.0 is not 0.0; a tensor of no axis has no other view.
        bits = [tensor.detach().contiguous().flatten().view(torch.uint8) for tensor in (one, other)]
        return torch.equal(*bits)
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return True
    return type(one) is type(other) and one == other


def _told(one: Any, other: Any) -> str:
    """Two values that differ, or by how much they do."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.dtype != other.dtype or one.shape != other.shape:
            kinds = [f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}" for tensor in (one, other)]
            return f"is {kinds[0]} in the first run and {kinds[1]} in the second"
        return f"differs by up to {_distance(one.double(), other.double())}"
    told = f"is {_short(one)} in the first run and {_short(other)} in the second"
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other)):
        distance = _distance(torch.tensor([one], dtype=torch.float64), torch.tensor([other], dtype=torch.float64))
        told += f", differs by {distance}"
    return told


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _distance(one: Tensor, other: Tensor) -> str:
    """Largest absolute difference of two float64 tensors, and relative to the largest magnitude in either."""
    absolute = (one - other).abs().max().item()
    largest = max(one.abs().max().item(), other.abs().max().item())
    return f"{absolute:.3g} (relative {absolute / largest if largest else 0.0:.3g})"
