"""The examples of docs/extending.md, imported as code from outside is."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from slowfast.config import plugins as plugins_module
from slowfast.config.plugins import import_plugins
from tests.registration import registrations_kept
from tests.videos import numbered_frame

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture(scope="session")
def example_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The page's files, in a folder outside the repository."""
    folder = tmp_path_factory.mktemp("outside")
    blocks = re.findall(r"```python\n(# (my_\w+\.py): .*?)```", PAGE.read_text(), re.DOTALL)
    for text, name in blocks:
        (folder / name).write_text(text)
    return [str(folder / name) for _, name in blocks]


@pytest.fixture
def own_parts(example_files: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Imports them; afterwards the registries and the config's sections are as before."""
    monkeypatch.setattr(plugins_module, "_LOADED", {})
    with registrations_kept():
        yield import_plugins(example_files)


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    """Eight videos of 6 frames, as training, validation and test list; video i shows numbers from 10 * i on."""
    for i in range(8):
        np.save(tmp_path / f"{i}.npy", np.stack([numbered_frame(10 * i + frame) for frame in range(6)]))
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}.json").write_text(json.dumps({f"{i}.npy": i % 2 for i in range(8)}))
    return tmp_path
