"""What the keys that take a registered name accept: our names, and those that somebody registers.

The registries live in packages above this one and cannot be asked; so our names stand here, too (a test holds both
equal), and whoever registers another adds it by ``accept_choice``.
"""

import difflib
from collections.abc import Sequence
from functools import partial
from typing import Any

from fvcore.common.config import CfgNode
from fvcore.common.registry import Registry

from slowfast.errors import UserError

# From so many names on a refusal also tells the nearest.
MANY_NAMES = 8

_DATASETS = (
    *("kinetics", "kinetics_sparse", "mit", "sth", "sth_video", "anet", "hacs", "ucf101", "ucf101_video", "hmdb"),
    *("hmdb_video", "folder"),
)
# Case of the names does not matter for these, as upstream.
ANY_CASE = ("TRAIN.DATASET", "TEST.DATASET")

REGISTERED: dict[str, list[str]] = {
    "TRAIN.DATASET": [*_DATASETS],
    "TEST.DATASET": [*_DATASETS],
    "AUG.EXTRA_TRANSFORMS": [],
    "MODEL.MODEL_NAME": [],  # each model's section adds it
    "MODEL.LOSS_FUNC": ["cross_entropy", "soft_cross_entropy", "bce_logit"],
    "SOLVER.OPTIMIZING_METHOD": ["sgd", "adam", "adamw"],
}

# Published files name a data set that there is not. They load like all others, and who uses the data set is told.
LEFT_TO_USE = {"TEST.DATASET": "ant"}

# What the targets of a loss may be: "class", int64 (N,); "mixed", float (N, K), each row a distribution over the
# classes, as mixup makes them; "several", float (N, K), 1 for each class that a clip shows and else 0.
TARGET_KINDS = ("class", "mixed", "several")
LOSS_TARGETS: dict[str, tuple[str, ...]] = {
    "cross_entropy": ("class",),
    "soft_cross_entropy": ("mixed",),
    "bce_logit": ("several",),
}
# Losses that take ``class_weights``, float (K,).
WEIGHTED_LOSSES = {"cross_entropy", "soft_cross_entropy", "bce_logit"}


def fold_case(key: str, name: str) -> str:
    """A name as the table has it."""
    return name.lower() if key in ANY_CASE else name


def accept_choice(key: str, name: str) -> None:
    """Let a key take one more name; one that it takes already stays as it is."""
    name = fold_case(key, name)
    if name not in REGISTERED[key]:
        REGISTERED[key].append(name)


def withdraw_choice(key: str, name: str) -> None:
    """Take back what ``accept_choice`` did."""
    REGISTERED[key].remove(fold_case(key, name))


def check_target_kinds(kinds: Sequence[str]) -> None:
    """Refuse what are not kinds of targets, or none.

    Raises:
        UserError: names what is accepted.
    """
    if isinstance(kinds, str) or not kinds or not set(kinds) <= set(TARGET_KINDS):
        raise UserError(f"targets of a loss are {kinds!r}; accepted: a tuple of one or several of {TARGET_KINDS}")


def losses_for(kind: str) -> str:
    """The losses that take a kind of targets, for a message: "bce_logit or my_loss"."""
    return " or ".join(loss for loss, kinds in LOSS_TARGETS.items() if kind in kinds)


def why_refused(key: str, value: Any, accepted: Sequence[Any]) -> str | None:
    """One line on a value, or a list with an item, that is not accepted; None for one that is."""
    is_list = isinstance(value, list)
    names = [fold_case(key, name) if isinstance(name, str) else name for name in (value if is_list else [value])]
    unknown = [name for name in names if name not in accepted]
    if not unknown:
        return None
    told = ", ".join(str(choice) or repr(choice) for choice in accepted)
    if is_list:
        told = f"each item one of {told}" if accepted else "[]"
    remedy = ""
    if len(accepted) >= MANY_NAMES:
        remedy = f"; the nearest is {difflib.get_close_matches(unknown[0], accepted, n=1, cutoff=0.0)[0]!r}"
    if key in REGISTERED and not difflib.get_close_matches(unknown[0], accepted):
        remedy += "; a name of code from outside needs --plugins FILE.py"
    return f"{key} is {value!r}; accepted: {told}{remedy}"


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
        name = fold_case(self.keys[0], name or getattr(obj, "__name__", ""))
        if not name:
            raise UserError(f"{self._name} registry: {obj!r} has no name of its own; give register() a name")
        if name in self:
            raise UserError(f"{self._name} registry: {name!r} is taken by {self.get(name)!r}; give another name")
        self._do_register(name, obj)
        for key in self.keys:
            accept_choice(key, name)
        return obj

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

    def build(self, cfg: CfgNode, key: str, name: str) -> Any:
        """What a key names, ready for use: by its classmethod ``from_config(cfg)`` if it has one, else as it is.

        Raises:
            UserError: if there is no such object; names the key and what is accepted.
        """
        found = self.find(key, name)
        return found.from_config(cfg) if hasattr(found, "from_config") else found

    def names(self) -> list[str]:
        """All names, in the order in which they were registered."""
        return list(self._obj_map)
