"""Features of many videos in one file, written so that a stopped run goes on where it stopped."""

import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save

from slowfast.errors import UserError
from slowfast.inference.results import Features
from slowfast.runtime.files import write_text, write_whole
from slowfast.runtime.folder_lock import FolderLock

SUFFIXES = (".npz", ".safetensors")
# Of a part, which is what a stopped run loses at most.
PART_VIDEOS = 64
SETTINGS = "settings.json"
# What NumPy, zip files, JSON and safetensors raise for files that are something else, or damaged.
_UNREADABLE = (
    *(OSError, ValueError, LookupError, EOFError, TypeError, AttributeError, RecursionError, NotImplementedError),
    *(MemoryError, zlib.error, zipfile.BadZipFile, safetensors.SafetensorError),
)


@dataclass(frozen=True)
class FeatureTable:
    """Features of N videos.

    Attributes:
        paths: of the videos.
        clips: float32 (N, V, C), a row per view; tokens are (N, V, C, T, H, W).
        settings: of what made them: the model's hash, layer, tokens, views.
    """

    paths: Sequence[str]
    clips: np.ndarray
    settings: Mapping[str, Any]

    @property
    def video(self) -> np.ndarray:
        """The mean over the views."""
        return self.clips.mean(axis=1) if len(self.clips) else self.clips


class FeatureWriter:
    """Collects features in ``<target>.parts`` and makes one file of them in the end; as a context, alone there.

    Args:
        target: an .npz or .safetensors file that does not exist yet.
        settings: JSON values that say what the features are; parts of other settings are refused.

    Raises:
        UserError: for another suffix, a file that exists, parts of another model or other settings, or no permission.
    """

    def __init__(self, target: Path, settings: Mapping[str, Any]) -> None:
        if target.suffix not in SUFFIXES:
            raise UserError(f"{target}: accepted: files that end in {' or '.join(SUFFIXES)}")
        self.target, self.settings = target, dict(settings)
        self._check_free()
        self.folder = target.with_name(target.name + ".parts")
        self._waiting: list[Features] = []
        self.num_left_out = self._num_named = 0
        self._lock = FolderLock(self.folder, key="--output")

    def __enter__(self) -> "FeatureWriter":
        self._lock.__enter__()
        try:
            self._check_free()  # another run may just have ended
            self._check_settings()
            self._parts = sorted(self.folder.glob("part-" + "[0-9]" * 6 + ".npz"))
            # One in their middle may have been removed.
            self._num_named = 1 + max((int(part.stem[5:]) for part in self._parts), default=-1)
            self.done = {path for part in self._parts for path in _read_part(part).paths}
        except BaseException:
            self._lock.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """What is computed is kept, also where the run is stopped."""
        try:
            self.flush()
            if not self._parts:  # settings alone would only be in the way of the next run
                (self.folder / SETTINGS).unlink(missing_ok=True)
        finally:
            self._lock.__exit__()
            with suppress(OSError):
                self.folder.rmdir()

    def _check_free(self) -> None:
        if os.path.lexists(self.target):
            raise UserError(f"{self.target}: is there already; remove it, or name another file")

    def _check_settings(self) -> None:
        path = self.folder / SETTINGS
        if path.is_file():
            theirs = _read_settings(path)
            for key in different(self.settings, theirs):
                told = f"was begun with {key} {theirs.get(key)!r}, and here it is {self.settings.get(key)!r}"
                raise UserError(f"{self.folder}: {told}; remove the folder to begin anew, or name another file")
        else:
            write_text(path, json.dumps(self.settings))

    def add(self, features: Features) -> None:
        """Keep the features of one video.

        Raises:
            UserError: if they cannot be written, or have another shape than those before them.
        """
        self._waiting.append(features)
        if len(self._waiting) >= PART_VIDEOS:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            clips = _stacked([each.clips.numpy() for each in self._waiting], [each.path for each in self._waiting])
            path = self.folder / f"part-{self._num_named:06d}.npz"
            self._num_named += 1
            _write(path, FeatureTable([each.path for each in self._waiting], clips, self.settings))
            self._parts.append(path)
            self.done |= {each.path for each in self._waiting}
            self._waiting = []

    def finish(self, order: Sequence[str]) -> FeatureTable:
        """Make one file of all parts and remove them.

        Args:
            order: paths of the videos; those without features are left out, and so are videos of an earlier run that
                are not among them, which ``num_left_out`` counts.
        """
        self.flush()
        tables = [read_features(part) for part in self._parts]
        rows = {path: row for table in tables for path, row in zip(table.paths, table.clips, strict=True)}
        paths = [path for path in dict.fromkeys(order) if path in rows]
        self.num_left_out = len(rows) - len(paths)
        clips = _stacked([rows[path] for path in paths], paths) if paths else np.empty((0, 0, 0), np.float32)
        table = FeatureTable(paths, clips, self.settings)
        _write(self.target, table)
        shutil.rmtree(self.folder)
        return table


def read_features(path: str | os.PathLike) -> FeatureTable:
    """Read a file of features.

    Raises:
        UserError: if it is none.
    """
    path = Path(path)
    try:
        if os.path.exists(path) and not path.is_file() and not path.is_dir():
            raise ValueError("it is a pipe or a device")
        if path.suffix == ".safetensors":
            with safetensors.safe_open(path, "np") as file:
                metadata = file.metadata() or {}
                paths, settings = json.loads(metadata["paths"]), json.loads(metadata["settings"])
                return _checked(paths, file.get_tensor("clips"), settings)
        with np.load(path, allow_pickle=False) as content:
            return _checked(content["paths"].tolist(), content["clips"], json.loads(str(content["settings"])))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except PermissionError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except _UNREADABLE as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        cause = "it is of another kind" if "pickle" in cause else cause  # NumPy's advice is to read it as a program
        raise UserError(f"{path}: is no file of features, as uniformer features writes it ({cause})") from None


def _read_part(path: Path) -> FeatureTable:
    try:
        return read_features(path)
    except UserError as error:
        raise UserError(f"{error}; remove it, and its videos are computed again") from None


def _checked(paths: object, clips: np.ndarray, settings: object) -> FeatureTable:
    """A table, if it is one as ``FeatureWriter`` writes it: the file may come from anywhere.

    Raises:
        ValueError: saying what is wrong.
    """
    if not isinstance(settings, dict):
        raise ValueError("its settings are no object")
    if not (isinstance(paths, list) and all(isinstance(path, str) for path in paths)):
        raise ValueError("its paths are no list of texts")
    if clips.dtype != np.float32 or clips.ndim not in (3, 6) or len(clips) != len(paths):
        raise ValueError(f"{len(paths)} paths, and clips {clips.dtype} {clips.shape}: not float32 (videos, views, ...)")
    if paths and (0 in clips.shape or not np.isfinite(clips).all()):
        raise ValueError("its clips are empty or not finite")
    return FeatureTable(paths, clips, settings)


def different(settings: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Keys whose values are not the same in both, or that one of them lacks; values as JSON has them."""
    ours, theirs = (json.loads(json.dumps(each)) for each in (dict(settings), dict(others)))
    return [key for key in {**ours, **theirs} if key not in ours or key not in theirs or ours[key] != theirs[key]]


def nearest(tables: Sequence[FeatureTable], query: np.ndarray, topk: int) -> list[tuple[str, float]]:
    """The videos whose mean features point in the direction nearest to the query's.

    Args:
        tables: of features (N, V, C).
        query: float32 (C,).
        topk: how many.

    Returns:
        Paths and cosines, the nearest first.
    """
    found: list[tuple[str, float]] = []
    query = query.astype(np.float64)
    for table in tables:
        rows = table.video.astype(np.float64)  # squares of large numbers are none in float32
        norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
        cosines = rows @ query / np.maximum(norms, np.finfo(np.float64).tiny)
        best = np.argsort(-cosines, kind="stable")[:topk]
        found += [(table.paths[idx], float(cosines[idx])) for idx in best]
    return sorted(found, key=lambda item: -item[1])[:topk]


def _stacked(rows: Sequence[np.ndarray], paths: Sequence[str]) -> np.ndarray:
    for row, path in zip(rows, paths, strict=True):
        if row.shape != rows[0].shape:
            raise UserError(f"{path}: its features are {row.shape}, those of {paths[0]} {rows[0].shape}")
    return np.stack(rows)


def _read_settings(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}; remove {path.parent} to begin anew") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no object; remove {path.parent} to begin anew")
    return content


def _write(path: Path, table: FeatureTable) -> None:
    """The file appears whole or not at all."""
    settings = json.dumps(dict(table.settings))
    if path.suffix == ".safetensors":
        tensors = {"clips": table.clips, "video": np.ascontiguousarray(table.video)}
        content = save(tensors, {"paths": json.dumps(list(table.paths)), "settings": settings})
        write_whole(path, lambda file: file.write(content))
    else:
        arrays = {"paths": np.array(table.paths, np.str_), "clips": table.clips, "video": table.video}
        write_whole(path, lambda file: np.savez(file, **arrays, settings=settings))
