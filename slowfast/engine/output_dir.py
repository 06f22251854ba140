"""The folder that a run writes to, and what every run records there."""

import contextlib
import logging
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import simplejson
from fvcore.common.config import CfgNode

from slowfast.config.plugins import describe_plugins, loaded_plugins
from slowfast.runtime import distributed
from slowfast.runtime.files import make_folder, write_text
from slowfast.runtime.folder_lock import FolderLock
from slowfast.runtime.log import setup_logging
from slowfast.runtime.reproduce import environment_stamp

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def output_locked(folder: Path) -> Iterator[Callable[[], None]]:
    """Have a folder to this run alone, as a context; rank 0 takes the lock, and the others wait.

    ``OUTPUT_DIR`` and its folder of the test have a lock each, so that a checkpoint is tested while training goes on.

    Args:
        folder: made if need be, and removed again if it is left empty.

    Yields:
        What raises UserError once another run has taken the folder over; to be called before checkpoints are written.

    Raises:
        UserError: if another run writes there, or the folder cannot be written to.
    """
    with FolderLock(folder) if distributed.is_main() else contextlib.nullcontext() as lock:
        distributed.barrier()
        yield (lambda: None) if lock is None else lock.check


def start_output(cfg: CfgNode, folder: Path) -> None:
    """Make a folder and record what the run depends on: resolved config, commit, environment and seed.

    Rank 0 writes; the others wait. From here on the log goes to ``OUTPUT_DIR``/log.txt, too.

    Args:
        cfg: the whole config.
        folder: ``OUTPUT_DIR`` or a folder in it.

    Raises:
        UserError: if the folder cannot be made or written to.
    """
    if distributed.is_main():
        make_folder(folder)
        write_text(folder / "config.yaml", cfg.dump())
        stamp = environment_stamp(cfg.RNG_SEED) | {"plugins": loaded_plugins()}
        write_text(folder / "environment.json", simplejson.dumps(stamp, indent=2) + "\n")
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
