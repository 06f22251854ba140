"""Print the oldest release of each dependency that setup.py allows, as pip takes them: name==version.

python .ci/oldest_versions.py
"""

import ast
import re
import sys
from pathlib import Path

SETUP = Path(__file__).parents[1] / "setup.py"


def oldest_versions(setup: str) -> list[str]:
    """The lower bounds of ``install_requires``.

    Args:
        setup: the text of a setup.py, which is read and not run.

    Raises:
        ValueError: for a dependency without exactly one lower bound.
    """
    calls = [node for node in ast.walk(ast.parse(setup)) if isinstance(node, ast.Call)]
    keywords = [keyword for call in calls for keyword in call.keywords if keyword.arg == "install_requires"]
    if len(keywords) != 1:
        raise ValueError(f"{len(keywords)} lists install_requires; accepted: one")
    pins = []
    for dependency in ast.literal_eval(keywords[0].value):
        name = re.match(r"[\w.-]+", dependency)[0]
        bounds = re.findall(r">=\s*([\w.]+)", dependency)
        if len(bounds) != 1:
            raise ValueError(f"install_requires: {dependency}; accepted: one lower bound, {name}>=VERSION")
        pins.append(f"{name}=={bounds[0]}")
    return pins


if __name__ == "__main__":
    try:
        print(*oldest_versions(SETUP.read_text(encoding="utf-8")), sep="\n")
    except ValueError as error:
        sys.exit(f"error: {error}")
