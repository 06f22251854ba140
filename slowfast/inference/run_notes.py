"""What the folder of a run tells of the checkpoint in it, for the model card."""

import json
import os
from pathlib import Path
from typing import Any


def notes_of_run(checkpoint: str | os.PathLike) -> dict[str, Any]:
    """How a checkpoint in OUTPUT_DIR/checkpoints was trained and what it reached; empty for other files."""
    folder = Path(checkpoint).absolute().parent.parent
    notes: dict[str, Any] = {}
    environment = _read(folder / "environment.json")
    if environment.get("git_commit"):
        dirty = " with changes" if environment.get("git_dirty") else ""
        notes["commit"] = f"{environment['git_commit']}{dirty}"
    if isinstance(environment.get("command"), list):
        words = [os.path.basename(word) if os.path.isabs(word) else word for word in map(str, environment["command"])]
        notes["command"] = f"`{' '.join(words)}`"
    if environment.get("seed") is not None:
        notes["seed"] = environment["seed"]
    report = _read(folder / "test" / "report.json")
    # Figures of another checkpoint would be no figures of this model.
    is_of_this = Path(checkpoint).absolute() == Path(str((report.get("setting") or {}).get("checkpoint"))).absolute()
    if is_of_this and {"top1", "top5", "scored", "expected"} <= set(report):
        top1, top5 = (report[name] for name in ("top1", "top5"))
        notes["test"] = f"top-1 {top1:.2f} %, top-5 {top5:.2f} % over {report['scored']} of {report['expected']} videos"
    return notes


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
