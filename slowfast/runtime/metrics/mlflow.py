"""Metrics as a run of MLflow (mlflow.org)."""

import logging
import os
import time
from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np

from slowfast.runtime.extras import import_extra
from slowfast.runtime.metrics.run_ids import keep_run_id, load_run_id
from slowfast.runtime.metrics.writer import MetricsSource, numbers_of

logger = logging.getLogger(__name__)

# What MLflow takes: parameters of one request, and characters of a value (releases before 2.10; 6000 since).
_PARAMETERS_PER_BATCH, _LONGEST_PARAMETER = 100, 500


class MlflowWriter:
    """A run of MLflow, which its own variables place (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME).

    A resumed training goes on in the run that it began. The parameters are the config of its beginning: MLflow lets
    none change.

    Raises:
        UserError: if the package is missing.
    """

    what = "MLflow's metrics"

    def __init__(self) -> None:
        purpose = {"extra": "mlflow", "purpose": "TRAIN.LOGGERS mlflow"}
        self._mlflow = import_extra("mlflow", **purpose)
        self._entities = import_extra("mlflow.entities", **purpose)
        self._client = self._run_id = None

    def open(self, source: MetricsSource) -> None:
        """Begin a run, or go on in the one that ``output_dir`` names."""
        self._client = self._mlflow.MlflowClient()
        self._run_id = load_run_id(source.output_dir, "mlflow") if source.num_steps else None
        if self._run_id is not None and not self._is_resumed():
            logger.warning("MLflow has no run %s any more; the rest goes to a new one", self._run_id)
            self._run_id = None
        if self._run_id is None:
            self._begin(source)
        logger.info("MLflow: run %s, %s", self._run_id, self._mlflow.get_tracking_uri())

    def _is_resumed(self) -> bool:
        """Let the run go on, if it is there."""
        try:
            self._client.update_run(self._run_id, status="RUNNING")
        except self._mlflow.MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return True

    def _begin(self, source: MetricsSource) -> None:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "Default"
        experiment = self._client.get_experiment_by_name(name)
        experiment_id = self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        self._run_id = self._client.create_run(experiment_id, run_name=source.name).info.run_id
        keep_run_id(source.output_dir, "mlflow", self._run_id)
        parameters = (
            self._entities.Param(key, str(value)[:_LONGEST_PARAMETER]) for key, value in source.config.items()
        )
        while batch := list(islice(parameters, _PARAMETERS_PER_BATCH)):
            self._client.log_batch(self._run_id, params=batch)

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Add a point to each curve."""
        now_ms = int(1000 * time.time())
        numbers = numbers_of(kind, values).items()
        metrics = [self._entities.Metric(name, float(value), now_ms, step) for name, value in numbers]
        self._client.log_batch(self._run_id, metrics=metrics)

    def write_classes(self, kind: str, step: int, accuracy: Mapping[str, float], confusion: np.ndarray | None) -> None:
        """Keep files, as metrics of MLflow take few of the characters that names have: the numbers, and a picture."""
        self._client.log_dict(self._run_id, dict(accuracy), f"{kind}_accuracy_of/step_{step:08d}.json")
        if confusion is not None:
            self._client.log_image(self._run_id, confusion, f"{kind}_confusion/step_{step:08d}.png")

    def close(self, *, has_failed: bool = False) -> None:
        """The run is finished or failed."""
        self._client.set_terminated(self._run_id, "FAILED" if has_failed else "FINISHED")
