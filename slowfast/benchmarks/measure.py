"""Time, matrix-product peak and peak memory of a device."""

import re
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from slowfast.runtime.memory import max_resident_bytes, status_bytes

MATRIX_SIZES = {"cpu": 2048, "cuda": 8192}
_CLEAR_REFS = Path("/proc/self/clear_refs")


class Timing(NamedTuple):
    """Seconds of one call: wall clock, median and shortest, and CPU time of the process, median and shortest."""

    wall_s: float
    min_wall_s: float
    cpu_s: float
    min_cpu_s: float


def time_alternately(
    functions: Mapping[str, Callable[[], object]], num_rounds: int, device: torch.device
) -> dict[str, Timing]:
    """Time functions in turns, so that what else the machine does falls on all of them alike.

    Each is called once before, to warm up.

    Args:
        functions: by name.
        num_rounds: timed calls of each, at least 1.
        device: waited for before the clock is read.
    """
    for function in functions.values():
        function()
    walls: dict[str, list[float]] = {name: [] for name in functions}
    cpus: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(num_rounds):
        for name, function in functions.items():
            _wait_for(device)
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            function()
            _wait_for(device)
            walls[name].append(time.perf_counter() - wall_s)
            cpus[name].append(time.process_time() - cpu_s)
    return {
        name: Timing(statistics.median(walls[name]), min(walls[name]), statistics.median(cpus[name]), min(cpus[name]))
        for name in functions
    }


def matrix_product(device: torch.device, dtype: torch.dtype) -> tuple[Callable[[], object], int]:
    """A product of two square matrices that is large enough for the device's peak.

    Returns:
        The function that computes it, and its multiply-adds.
    """
    size = MATRIX_SIZES[device.type]
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    result = torch.empty_like(a)
    return lambda: torch.mm(a, b, out=result), size**3


def peak_memory_bytes(function: Callable[[], object], device: torch.device) -> int:
    """The most memory there is while ``function`` runs, what was there before included.

    On a GPU, of PyTorch's tensors; on the CPU, of the whole process in RAM. Where the kernel does not let a process
    reset its peak, the peak since the start of the process.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        function()
        _wait_for(device)
        return torch.cuda.max_memory_allocated(device)
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        function()
        return max_resident_bytes()
    function()
    return status_bytes("VmHWM")


def device_name(device: torch.device) -> str:
    """What the device calls itself, and how many threads compute on a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return f"CPU ({found[1] if found else 'unknown model'}), threads: {torch.get_num_threads()}"


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
