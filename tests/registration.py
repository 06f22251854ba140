"""Things of somebody else's in the registries and in the config, for the length of a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from slowfast.config.choices import REGISTERED, ChoiceRegistry
from slowfast.config.coerce import MULTI_TYPE_KEYS
from slowfast.config.ignored_keys import IGNORED_KEYS
from slowfast.config.paths import PATH_KEYS
from slowfast.config.sections import SECTIONS
from slowfast.datasets.catalog import DATASET_REGISTRY
from slowfast.datasets.transforms.registry import TRANSFORM_REGISTRY
from slowfast.models import MODEL_REGISTRY
from slowfast.solver.loss import LOSS_REGISTRY
from slowfast.solver.optimizer import OPTIMIZER_REGISTRY

REGISTRIES = (MODEL_REGISTRY, DATASET_REGISTRY, TRANSFORM_REGISTRY, LOSS_REGISTRY, OPTIMIZER_REGISTRY)


@contextmanager
def registered(registry: ChoiceRegistry, obj: Any, **arguments: Any) -> Iterator[None]:
    """Register an object as outside code does, and take it out afterwards."""
    registry.register(obj, **arguments)
    try:
        yield
    finally:
        registry.unregister(arguments.get("name") or obj.__name__)


@contextmanager
def registrations_kept() -> Iterator[None]:
    """Whatever is registered meanwhile, sections of the config included, is gone afterwards."""
    tables = (SECTIONS, MULTI_TYPE_KEYS, IGNORED_KEYS)
    paths = set(PATH_KEYS)
    contents = [dict(table) for table in tables]
    accepted = {key: list(names) for key, names in REGISTERED.items()}
    own = [registry.names() for registry in REGISTRIES]
    try:
        yield
    finally:
        for registry, before in zip(REGISTRIES, own, strict=True):
            for name in set(registry.names()) - set(before):
                registry.unregister(name)
        for key, names in accepted.items():
            REGISTERED[key][:] = names
        for table, content in zip(tables, contents, strict=True):
            table.clear()
            table.update(content)
        PATH_KEYS.intersection_update(paths)
