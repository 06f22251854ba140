"""Odd videos, each written once for all tests that read it."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.odd_videos import INDEXED, NOT_INDEXED, SIZES


@pytest.fixture(scope="session")
def odd_video(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the file of a kind by its name in INDEXED, NOT_INDEXED or SIZES; tests must not change it."""

    @cache
    def write(kind: str) -> Path:
        return (INDEXED | NOT_INDEXED | SIZES)[kind](tmp_path_factory.mktemp("odd"))

    return write
