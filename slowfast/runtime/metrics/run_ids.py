"""Which run of W&B or MLflow shows a training: kept in its folder, so that a resumed one goes on there."""

import json
from pathlib import Path

from slowfast.runtime.files import write_text

FILE_NAME = "logger_runs.json"


def load_run_id(output_dir: Path, logger: str) -> str | None:
    """The id that ``keep_run_id`` wrote; None if there is none, or the file is damaged."""
    return _load(output_dir).get(logger)


def keep_run_id(output_dir: Path, logger: str, run_id: str) -> None:
    """Write the id of a run beside those of other loggers.

    Raises:
        UserError: if it cannot be written.
    """
    write_text(output_dir / FILE_NAME, json.dumps(_load(output_dir) | {logger: run_id}, indent=2) + "\n")


def _load(output_dir: Path) -> dict[str, str]:
    try:
        content = json.loads((output_dir / FILE_NAME).read_text())
    except (OSError, ValueError):
        return {}
    ids = content.items() if isinstance(content, dict) else ()
    return {logger: run_id for logger, run_id in ids if isinstance(run_id, str)}
