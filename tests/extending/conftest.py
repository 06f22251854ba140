"""Parts of somebody else's, registered while a test runs."""

import importlib
import sys
from collections.abc import Iterator

import pytest

from slowfast.datasets.catalog import DATASET_REGISTRY
from slowfast.datasets.transforms.registry import TRANSFORM_REGISTRY
from slowfast.solver.loss import LOSS_REGISTRY
from slowfast.solver.optimizer import OPTIMIZER_REGISTRY

REGISTRIES = (DATASET_REGISTRY, TRANSFORM_REGISTRY, LOSS_REGISTRY, OPTIMIZER_REGISTRY)
MODULES = ("own_dataset", "own_loss", "own_optimizer", "own_transform")


@pytest.fixture
def own_parts() -> Iterator[None]:
    """Imports the modules beside this file; afterwards the registries are as before."""
    before = [registry.names() for registry in REGISTRIES]
    for name in MODULES:
        importlib.import_module(f"tests.extending.{name}")
    yield
    for registry, names in zip(REGISTRIES, before, strict=True):
        for name in set(registry.names()) - set(names):
            registry.unregister(name)
    for name in MODULES:
        del sys.modules[f"tests.extending.{name}"]
