"""The published experiments as flat dicts of config keys (the JSON files beside this one)."""

import json
import re
from pathlib import Path
from typing import Any

PUBLISHED = Path(__file__).parent / "published"


def published_experiments() -> dict[str, dict[str, Any]]:
    """Name -> keys and values of the experiment, those of its test included."""
    tested = published_tests()
    return {name: keys | tested[name] for name, keys in published_runs().items()}


def published_runs() -> dict[str, dict[str, Any]]:
    """Name -> keys and values that training ran with, without the defaults that it relied on."""
    return {
        name: content["common"] | experiment["run"]
        for content in _families().values()
        for name, experiment in content["experiments"].items()
    }


def published_tests() -> dict[str, dict[str, Any]]:
    """Name -> what a separate test script changed; empty where there was none."""
    return {
        name: experiment.get("test_overrides", {})
        for content in _families().values()
        for name, experiment in content["experiments"].items()
    }


def family_of(name: str) -> str:
    """The family that an experiment belongs to: uniformer or uniformerv2."""
    return name.partition("_")[0]


def published_defaults() -> dict[str, dict[str, Any]]:
    """Family -> the defaults that its runs relied on."""
    return json.loads((PUBLISHED / "defaults.json").read_text())


def is_as_expected(ours: Any, expected: Any) -> bool:
    """Whether a resolved value is the expected one, or matches it where that is a regular expression."""
    if isinstance(expected, re.Pattern):
        return expected.fullmatch(ours) is not None
    if isinstance(expected, list) and not isinstance(ours, list):  # one number stands for each stage
        return expected == [ours] * len(expected)
    return ours == expected


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """``{"A.B": 1}`` as ``{"A": {"B": 1}}``."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, leaf = key.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[leaf] = value
    return tree


def flat_overrides(flat: dict[str, Any]) -> list[Any]:
    """``{"A.B": 1}`` as ``["A.B", 1]``."""
    return [word for pair in flat.items() for word in pair]


def _families() -> dict[str, dict[str, Any]]:
    """File -> its content; the lightweight models are of the family uniformer."""
    files = ("uniformer", "uniformer_light", "uniformerv2")
    return {name: json.loads((PUBLISHED / f"{name}.json").read_text()) for name in files}
