"""Registries whose names are what keys of the config take."""

from functools import partial
from typing import Any

from fvcore.common.registry import Registry

from slowfast.config.choices import accept_choice, fold_case, why_refused, withdraw_choice
from slowfast.errors import UserError


class ChoiceRegistry(Registry):
    """Objects by name. Registering one lets the keys of the config take its name, so that it works like one of ours.

    ``@REGISTRY.register()`` takes a function or class under its own name, ``@REGISTRY.register(name="other")`` under
    another; ``REGISTRY.register(thing, name="its_name")`` takes what has none.

    Args:
        name: of the registry, for messages.
        keys: that take its names; they stand in ``choices.REGISTERED``.
    """

    def __init__(self, name: str, *keys: str) -> None:
        super().__init__(name)
        self.keys = keys

    def register(self, obj: Any = None, *, name: str = "") -> Any:
        """Register an object, or give the decorator that does.

        Raises:
            UserError: if the name is taken, or there is none.
        """
        if obj is None:
            return partial(self.register, name=name)
        name = name or getattr(obj, "__name__", "")
        if not name:
            raise UserError(f"{self._name} registry: {obj!r} has no name of its own; give register() a name")
        self._do_register(name, obj)
        return obj

    def _do_register(self, name: str, obj: Any) -> None:
        name = fold_case(self.keys[0], name)
        if name in self._obj_map:
            raise UserError(f"{self._name} registry: {name!r} is taken by {self._obj_map[name]!r}; give another name")
        super()._do_register(name, obj)
        for key in self.keys:
            accept_choice(key, name)

    def unregister(self, name: str) -> None:
        """Take an object out again, as tests and notebooks need it."""
        name = fold_case(self.keys[0], name)
        del self._obj_map[name]
        for key in self.keys:
            withdraw_choice(key, name)

    def find(self, key: str, name: str) -> Any:
        """Look up what a key names.

        Raises:
            UserError: if there is no such object; names the key and what is accepted.
        """
        folded = fold_case(key, name)
        if folded not in self._obj_map:
            raise UserError(why_refused(key, name, list(self._obj_map)))
        return self._obj_map[folded]

    def names(self) -> list[str]:
        """All names, in the order in which they were registered."""
        return list(self._obj_map)
