"""The folder that a run writes to, and what every run records there."""

from pathlib import Path

import simplejson
from fvcore.common.config import CfgNode

from slowfast.runtime import distributed
from slowfast.runtime.errors import UserError
from slowfast.runtime.reproduce import environment_stamp


def start_output(cfg: CfgNode, folder: Path) -> None:
    """Make a folder and record what the run depends on: resolved config, commit, environment and seed.

    Rank 0 writes; the others wait.

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
        stamp = environment_stamp(cfg.RNG_SEED)
        (folder / "environment.json").write_text(simplejson.dumps(stamp, indent=2) + "\n")
    distributed.barrier()
