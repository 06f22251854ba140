"""The published experiments as flat dicts of config keys (the JSON files beside this one)."""

import json
from pathlib import Path
from typing import Any

PUBLISHED = Path(__file__).parent / "published"


def published_experiments() -> dict[str, dict[str, Any]]:
    """Name -> keys and values of the experiment, those of its test included."""
    experiments = {}
    for family in ("uniformer", "uniformerv2"):
        content = json.loads((PUBLISHED / f"{family}.json").read_text())
        for name, experiment in content["experiments"].items():
            keys = content["common"] | experiment["run"] | experiment.get("test_overrides", {})
            experiments[name] = keys
    return experiments


def published_defaults() -> dict[str, dict[str, Any]]:
    """Family -> the defaults that its runs relied on."""
    return json.loads((PUBLISHED / "defaults.json").read_text())


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
