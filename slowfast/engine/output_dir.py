"""The folder that a run writes to, and what every run records there."""

import logging
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import simplejson
from fvcore.common.config import CfgNode

from slowfast.config.plugins import describe_plugins, loaded_plugins
from slowfast.errors import UserError
from slowfast.runtime import distributed
from slowfast.runtime.log import setup_logging
from slowfast.runtime.reproduce import environment_stamp

logger = logging.getLogger(__name__)


def start_output(cfg: CfgNode, folder: Path) -> None:
    """Make a folder and record what the run depends on: resolved config, commit, environment and seed.

    Rank 0 writes; the others wait. From here on the log goes to ``OUTPUT_DIR``/log.txt, too.

    Args:
        cfg: the whole config.
        folder: ``OUTPUT_DIR`` or a folder in it.

    Raises:
        UserError: if the folder cannot be made.
    """
    if distributed.is_main():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"OUTPUT_DIR {cfg.OUTPUT_DIR}: {folder} cannot be made: {error.strerror}") from None
        (folder / "config.yaml").write_text(cfg.dump())
        stamp = environment_stamp(cfg.RNG_SEED) | {"plugins": loaded_plugins()}
        (folder / "environment.json").write_text(simplejson.dumps(stamp, indent=2) + "\n")
    distributed.barrier()
    setup_logging(Path(cfg.OUTPUT_DIR))
    if distributed.is_main():
        for line in [_summary(stamp), *describe_plugins()]:
            logger.info("%s", line)


def _summary(stamp: dict[str, Any]) -> str:
    """One line of what ``environment_stamp`` gathers."""
    commit = "no commit" if stamp["git_commit"] is None else f"commit {stamp['git_commit'][:12]}"
    if stamp["git_dirty"]:
        commit += " with changes"
    gpus = [f"{number} x {name}" for name, number in Counter(stamp["gpus"]).items()]
    versions = f"slowfast {stamp['slowfast']}, {commit}, Python {stamp['python']}, PyTorch {stamp['torch']}"
    return f"{versions}, {', '.join(gpus) or 'no GPU'}, seed {stamp['seed']}: {shlex.join(stamp['command'])}"
