"""Print the oldest release of each dependency that pyproject.toml allows, as pip takes them: name==version.

python .ci/oldest_versions.py
"""

import ast
import re
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def oldest_versions(project: str) -> list[str]:
    """The lower bounds of ``dependencies``.

    Args:
        project: the text of a pyproject.toml. Its lists of strings are Python's, too, with their comments; Python 3.10
            has no reader of TOML.

    Raises:
        ValueError: for a dependency without exactly one lower bound.
    """
    lists = re.findall(r"^dependencies = (\[.*?\])$", project, re.MULTILINE | re.DOTALL)
    if len(lists) != 1:
        raise ValueError(f"{len(lists)} lists of dependencies; accepted: one")
    pins = []
    for dependency in ast.literal_eval(lists[0]):
        name = re.match(r"[\w.-]+", dependency)[0]
        bounds = re.findall(r">=\s*([\w.]+)", dependency)
        if len(bounds) != 1:
            raise ValueError(f"dependencies: {dependency}; accepted: one lower bound, {name}>=VERSION")
        pins.append(f"{name}=={bounds[0]}")
    return pins


if __name__ == "__main__":
    try:
        print(*oldest_versions(PROJECT.read_text(encoding="utf-8")), sep="\n")
    except ValueError as error:
        sys.exit(f"error: {error}")
