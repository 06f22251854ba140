"""Sections of the config that a model family, or code from outside, brings along.

A section has its defaults, the values that its keys may have, and its rules together. ``config/uniformer.py`` and
``config/uniformerv2.py`` are examples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fvcore.common.config import CfgNode

from slowfast.config.choices import accept_choice
from slowfast.config.coerce import MULTI_TYPE_KEYS, KeyType
from slowfast.config.ignored_keys import IGNORED_KEYS
from slowfast.config.paths import PATH_KEYS
from slowfast.config.ranges import Range
from slowfast.errors import UserError

# Takes the config and returns None, or one line that names keys, values and remedy.
Rule = Callable[[CfgNode], str | None]


class RecipeRange(NamedTuple):
    """Smallest and largest learning rate per video over the published recipes of a model, all with AdamW."""

    model: str
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the config.

    Attributes:
        name: of the section, such as UNIFORMER.
        defaults: its keys with their defaults, which give their types.
        types: full key -> what it takes, for keys that take several types and for lists that are empty by default.
        choices: full key -> the values that it may have.
        ranges: full key -> the numbers that it, or each item of a list, may be.
        paths: full keys that name files or folders; ``~`` in them is the home folder.
        rules: on several keys together.
        models: values of MODEL.MODEL_NAME for which choices, ranges and rules are checked; none: always.
        random_start: full key -> value, the overrides with which training starts from random weights.
        recipe: takes the config and returns the published learning rates of the model in it, or None if it has none.
        ignored: full key -> reason, of upstream's keys in this section that are accepted without effect.
    """

    name: str
    defaults: CfgNode
    types: Mapping[str, KeyType] = field(default_factory=dict)
    choices: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    paths: Sequence[str] = ()
    rules: Sequence[Rule] = ()
    models: Sequence[str] = ()
    random_start: Mapping[str, Any] = field(default_factory=dict)
    recipe: Callable[[CfgNode], RecipeRange | None] | None = None
    ignored: Mapping[str, str] = field(default_factory=dict)


SECTIONS: dict[str, Section] = {}
# Sections and keys of the first level that all models share; ``defaults.py`` adds them.
SHARED_NAMES: set[str] = set()


def register_section(section: Section) -> None:
    """Add a section to every config that is made from now on.

    Raises:
        UserError: if its name is taken or none, its defaults are no CfgNode, its models one text, or one of its tables
            names a key that the section does not have.
    """
    if section.name in SECTIONS:
        raise UserError(f"the config has a section {section.name} already")
    if section.name in SHARED_NAMES:
        raise UserError(f"the config has {section.name} for all models already; give the section another name")
    if not section.name.isidentifier():
        raise UserError(f"{section.name!r} is no name of a section; accepted: letters, digits and _")
    if not isinstance(section.defaults, CfgNode):
        raise UserError(f"defaults of section {section.name} are {section.defaults!r}; accepted: a CfgNode")
    if isinstance(section.models, str):
        raise UserError(f"models of section {section.name} are {section.models!r}; accepted: a tuple or list of names")
    keys = {f"{section.name}.{name}" for name in section.defaults}
    unknown = sorted({*section.types, *section.choices, *section.ranges, *section.paths, *section.random_start} - keys)
    if unknown:
        raise UserError(f"section {section.name} has no key {', '.join(unknown)}")
    SECTIONS[section.name] = section
    MULTI_TYPE_KEYS.update(section.types)
    PATH_KEYS.update(section.paths)
    IGNORED_KEYS.update(section.ignored)
    for name in section.models:
        accept_choice("MODEL.MODEL_NAME", name)


def sections_in_use(cfg: CfgNode) -> list[Section]:
    """The sections that the model of a config reads, and those that belong to no model."""
    return [section for section in SECTIONS.values() if not section.models or cfg.MODEL.MODEL_NAME in section.models]


def shapes_model(key: str) -> bool:
    """Whether a key's value decides which weights a model has."""
    shared = ("MODEL.MODEL_NAME", "MODEL.NUM_CLASSES", "DATA.NUM_FRAMES")
    return key in shared or any(key.startswith(f"{section.name}.") for section in SECTIONS.values() if section.models)


def recipe_range(cfg: CfgNode) -> RecipeRange | None:
    """The published learning rates of the model that the config describes; None for models without a recipe."""
    recipes = [section.recipe for section in sections_in_use(cfg) if section.recipe is not None]
    return next((found for recipe in recipes if (found := recipe(cfg)) is not None), None)
