"""Arrays that the processes of a run share rather than copy."""

import io
import math
import mmap
import os
import tempfile
from collections.abc import Mapping
from multiprocessing import reduction
from multiprocessing.context import get_spawning_popen
from typing import IO, Any

import numpy as np

# Less is copied: a file descriptor for each process costs more than that much memory.
SHARED_FROM_BYTES = 2**20
_ALIGNMENT = 8


class SharedArrays:
    """Named arrays in one piece of memory; nobody can write to them.

    A process that this one starts, and sends them to, maps the same memory: it is a file without a name, which the
    system removes with the last process. It does not lie in /dev/shm, which is small in containers. Pickled for
    anything else, the arrays are copied.

    Args:
        arrays: of any types and shapes; they are copied.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        num_bytes = sum(array.nbytes for array in arrays.values())
        self._file: IO[bytes] | None = _nameless_file() if num_bytes >= SHARED_FROM_BYTES else None
        target = io.BytesIO() if self._file is None else self._file
        # Name -> type, shape and first byte.
        self._layout: dict[str, tuple[str, tuple[int, ...], int]] = {}
        for name, array in arrays.items():
            target.write(bytes(-target.tell() % _ALIGNMENT))
            self._layout[name] = array.dtype.str, array.shape, target.tell()
            target.write(np.ascontiguousarray(array))
        target.flush()
        self._show(target.getvalue() if self._file is None else b"")

    def __contains__(self, name: str) -> bool:
        return name in self._views

    def __getitem__(self, name: str) -> np.ndarray:
        """A view of the memory."""
        return self._views[name]

    def _show(self, content: bytes) -> None:
        """Make the arrays: of the file, or where there is none of the content."""
        if self._file is not None:
            content = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._content = content
        self._views = {
            name: np.frombuffer(content, dtype, math.prod(shape), start).reshape(shape)
            for name, (dtype, shape, start) in self._layout.items()
        }

    def __getstate__(self) -> dict[str, Any]:
        if self._file is None or get_spawning_popen() is None:
            return {"layout": self._layout, "content": bytes(self._content)}
        return {"layout": self._layout, "descriptor": reduction.DupFd(self._file.fileno())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._layout = state["layout"]
        self._file = os.fdopen(state["descriptor"].detach(), "rb") if "descriptor" in state else None
        self._show(state.get("content", b""))


def _nameless_file() -> IO[bytes]:
    """A file in memory where the system has such, else one on disk."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("slowfast_list"), "w+b")
    return tempfile.TemporaryFile()
