"""Metrics as a run of Weights & Biases (docs.wandb.ai)."""

import logging
import os
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np

from slowfast.errors import UserError
from slowfast.runtime.extras import import_extra
from slowfast.runtime.metrics.run_ids import keep_run_id, load_run_id
from slowfast.runtime.metrics.writer import CLOSE_TIMEOUT_S, MetricsSource, numbers_of

logger = logging.getLogger(__name__)


class WandbWriter:
    """A run of W&B, which its own variables place (WANDB_PROJECT, WANDB_MODE, ...); its files in ``output_dir``/wandb.

    A resumed training goes on in the run that it began. W&B takes no step twice, so that curves are over a metric of
    ours, ``step``; points of steps that are taken again stand there twice, one above the other.

    Raises:
        UserError: if the package is missing, or there is nobody to log in as.
    """

    what = "W&B's metrics"

    def __init__(self) -> None:
        self._wandb = import_extra("wandb", extra="wandb", purpose="TRAIN.LOGGERS wandb")
        self._run = None
        # Else it would ask at the terminal, in the middle of a training. Whether a key is right is told later.
        is_online = self._wandb.setup().settings.mode == "online"
        if is_online and not self._wandb.login(prompt=False, verify=False):
            raise UserError(
                "TRAIN.LOGGERS wandb: there is no API key; run wandb login, set WANDB_API_KEY, or set "
                "WANDB_MODE=offline, whose runs wandb sync uploads later"
            )

    def open(self, source: MetricsSource) -> None:
        """Begin a run, or go on in the one that ``output_dir`` names."""
        run_id = load_run_id(source.output_dir, "wandb") if source.num_steps else None
        if run_id is None:
            run_id = uuid.uuid4().hex[:12]
            keep_run_id(source.output_dir, "wandb", run_id)
        self._run = self._wandb.init(
            id=run_id,
            resume="allow",
            dir=str(source.output_dir),
            name=os.environ.get("WANDB_NAME") or source.name,
            # Our log says what is to be said. W&B waits less long than we do, so that it can say what is not uploaded.
            settings=self._wandb.Settings(
                silent=True, console="off", finish_timeout=CLOSE_TIMEOUT_S - 10, finish_timeout_raises=True
            ),
        )
        self._run.config.update(dict(source.config), allow_val_change=True)
        self._run.define_metric("*", step_metric="step")
        where = f"offline in {self._run.dir}" if self._run.offline else self._run.url
        logger.info("W&B: run %s, %s", run_id, where)

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Add a point to each curve."""
        self._run.log({**numbers_of(kind, values), "step": step})

    def write_classes(self, kind: str, step: int, accuracy: Mapping[str, float], confusion: np.ndarray | None) -> None:
        """Add a point to the curve of each class, and a picture."""
        values: dict[str, Any] = {f"{kind}_accuracy_of/{name}": value for name, value in accuracy.items()}
        if confusion is not None:
            values[f"{kind}/confusion"] = self._wandb.Image(confusion)
        self._run.log({**values, "step": step})

    def close(self, *, has_failed: bool = False) -> None:
        """Upload what is left; the run is finished or failed."""
        self._run.finish(exit_code=int(has_failed))
