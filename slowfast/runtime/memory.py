"""Memory of this process, as the system tells it."""

import re
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_bytes() -> int:
    """Memory of this process that is in RAM, now; where /proc is missing, the most there ever was."""
    return status_bytes("VmRSS") if _STATUS.exists() else max_resident_bytes()


def status_bytes(field: str) -> int:
    """A size in /proc/self/status, such as VmRSS or VmHWM."""
    found = re.search(rf"{field}:\s+(\d+) kB", _STATUS.read_text())
    assert found is not None, f"{_STATUS} has no {field}"
    return int(found[1]) * 1024


def max_resident_bytes() -> int:
    """The most memory of this process that there ever was in RAM."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
