"""The examples of docs/extending.md, imported as code from outside is."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from slowfast.config import plugins as plugins_module
from slowfast.config.plugins import import_plugins
from slowfast.config.sections import SECTIONS
from slowfast.datasets.catalog import DATASET_REGISTRY
from slowfast.datasets.transforms.registry import TRANSFORM_REGISTRY
from slowfast.models import MODEL_REGISTRY
from slowfast.solver.loss import LOSS_REGISTRY
from slowfast.solver.optimizer import OPTIMIZER_REGISTRY

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
REGISTRIES = (MODEL_REGISTRY, DATASET_REGISTRY, TRANSFORM_REGISTRY, LOSS_REGISTRY, OPTIMIZER_REGISTRY)


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
    names, sections = [registry.names() for registry in REGISTRIES], dict(SECTIONS)
    yield import_plugins(example_files)
    for registry, before in zip(REGISTRIES, names, strict=True):
        for name in set(registry.names()) - set(before):
            registry.unregister(name)
    SECTIONS.clear()
    SECTIONS.update(sections)
