"""Things of somebody else's in the registries, for the length of a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from slowfast.config.choices import ChoiceRegistry


@contextmanager
def registered(registry: ChoiceRegistry, obj: Any, **arguments: Any) -> Iterator[None]:
    """Register an object as outside code does, and take it out afterwards."""
    registry.register(obj, **arguments)
    try:
        yield
    finally:
        registry.unregister(arguments.get("name") or obj.__name__)
