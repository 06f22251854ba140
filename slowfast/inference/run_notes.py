"""What the folder of a run tells of the checkpoint in it, for the model card."""

import json
import os
from pathlib import Path
from typing import Any

from slowfast.engine.checkpoint import BEST_NAME
from slowfast.models.weights.files import load_plain


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
    if Path(checkpoint).name == BEST_NAME:
        content = load_plain(Path(checkpoint), is_mapped=True)
        accuracy, epoch = (content.get(name) for name in ("best_accuracy", "epoch"))
        if isinstance(accuracy, float) and isinstance(epoch, int) and accuracy >= 0:
            notes["validation"] = f"top-1 {accuracy:.2f} % after epoch {epoch + 1}"
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
