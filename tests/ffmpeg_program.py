"""The real ``ffmpeg`` program, where it is installed, as the judge of what a file shows."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest


@cache
def _version() -> tuple[int, int]:
    """(0, 0) where there is no program."""
    if shutil.which("ffmpeg") is None:
        return 0, 0
    told = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout
    version = re.match(r"ffmpeg version n?(\d+)\.(\d+)", told)
    return (int(version[1]), int(version[2])) if version else (0, 0)


needs_ffmpeg = pytest.mark.skipif(_version() < (5, 1), reason="there is no program ffmpeg of version 5.1 or later")


def shown_by_ffmpeg(path: Path, height: int, width: int) -> np.ndarray:
    """The frames that the program shows by default, each once: uint8 (T, height, width, 3)."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-fps_mode", "passthrough"]
    done = subprocess.run(
        [*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-threads", "1", "-"], capture_output=True, check=True
    )
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)
