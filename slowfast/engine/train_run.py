"""What a run of training is made of, and the part of it that a checkpoint holds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torch.utils.data import DataLoader

from slowfast.datasets.records import Batch
from slowfast.datasets.transforms.mixup import Mixup
from slowfast.datasets.transforms.random_erasing import erase
from slowfast.engine.checkpoint import CheckpointFolder
from slowfast.engine.ema import WeightEma
from slowfast.engine.resume import (
    check_class_names,
    check_own_channel_order,
    load_optimizer,
    load_own_weights,
    restore_state,
)
from slowfast.engine.scoring import Scorer
from slowfast.models.weights.load import load_weights
from slowfast.models.weights.sources import config_of
from slowfast.runtime import distributed
from slowfast.runtime.metrics.log import MetricsLog
from slowfast.runtime.reproduce import versions
from slowfast.solver.schedule import LearningRateSchedule


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        num_epochs: finished, their validation included.
        num_steps: done of the epoch after them; all of its steps, where only its validation is left.
        best_accuracy: best validation accuracy in percent so far.
        rank_state: of this process, to resume within an epoch; None for what a new epoch begins with.
        num_without_best: validations since the one that gave ``best_accuracy``.
    """

    num_epochs: int = 0
    num_steps: int = 0
    best_accuracy: float = -1.0
    rank_state: dict[str, Any] | None = None
    num_without_best: int = 0


@dataclass(eq=False)
class TrainRun:
    """Everything that a run of training is made of.

    ``model`` is wrapped for several processes; ``bare_model`` is not. ``ema`` is None without ``MODEL.EMA_EPOCH``,
    ``mixup`` without ``MIXUP.ENABLE``, ``autocast_dtype`` where training is in float32. ``normalize`` takes uint8 clips
    (N, C, T, H, W) on the device to float32. ``progress`` is replaced as the run goes on, and ``resumed_from`` is the
    checkpoint that it began with. ``metrics`` is there once ``OUTPUT_DIR`` may be written to.
    """

    cfg: CfgNode
    device: torch.device
    model: nn.Module
    ema: WeightEma | None
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    autocast_dtype: torch.dtype | None
    schedule: LearningRateSchedule
    loss: Callable[[Tensor, Tensor], Tensor]
    mixup: Mixup | None
    normalize: Callable[[Tensor], Tensor]
    scorer: Scorer
    train_loader: DataLoader
    val_loader: DataLoader
    class_names: list[str] | None
    checkpoints: CheckpointFolder
    progress: Progress = field(default_factory=Progress)
    resumed_from: Path | None = None
    metrics: MetricsLog = field(init=False)

    @property
    def bare_model(self) -> nn.Module:
        """The model whose state-dict keys are the published ones."""
        return distributed.unwrap_model(self.model)

    @property
    def has_ema(self) -> bool:
        """Whether the EMA of the weights has begun."""
        begun = self.progress.num_epochs + (self.progress.num_steps > 0) > self.cfg.MODEL.EMA_EPOCH
        return self.ema is not None and begun

    @property
    def ends_early(self) -> bool:
        """Whether ``SOLVER.PATIENCE`` validations without a new best one end training before ``SOLVER.MAX_EPOCH``."""
        is_early = self.progress.num_epochs < self.cfg.SOLVER.MAX_EPOCH
        return is_early and 0 < self.cfg.SOLVER.PATIENCE <= self.progress.num_without_best

    @property
    def is_finished(self) -> bool:
        """Whether no epoch is left to train."""
        return self.progress.num_epochs >= self.cfg.SOLVER.MAX_EPOCH or self.ends_early

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer updates per epoch."""
        return self.train_loader.sampler.num_steps

    @property
    def own_videos_per_epoch(self) -> int:
        """Videos per epoch on this process."""
        return self.steps_per_epoch * self.videos_per_step // distributed.world_size()

    @property
    def videos_per_step(self) -> int:
        """Videos per step, of all processes."""
        return self.train_loader.sampler.videos_per_step

    def clips_of(self, batch: Batch) -> Tensor:
        """The clips of a training batch on the device: normalised, then erased, float32 (N, C, T, H, W)."""
        return erase(self.normalize(batch.clips), batch.erasures)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds (see ``CheckpointFolder``); all processes call this together, rank 0's is whole."""
        return {
            "model_state": self.bare_model.state_dict(),
            "ema_state": self.ema.state_dict() if self.has_ema else None,
            "optimizer_state": self.optimizer.state_dict(),
            "scaler_state": self.scaler.state_dict(),
            "epoch": self.progress.num_epochs - 1,
            "step": self.progress.num_steps,
            "videos_per_step": self.videos_per_step,
            "rank_states": distributed.gather_objects(self.progress.rank_state),
            "seed": self.cfg.RNG_SEED,
            "best_accuracy": self.progress.best_accuracy,
            "num_without_best": self.progress.num_without_best,
            "config": self.cfg.dump(),
            "class_names": self.class_names,
            "versions": versions(),
        }

    def load_state_dict(self, content: dict[str, Any], source: Path) -> list[str]:
        """The mirror image of ``state_dict``: afterwards this run stands where that one stood.

        Args:
            content: of a checkpoint.
            source: its file, for errors.

        Returns:
            What differs from the run that saved it within an epoch, whose rest then draws other random numbers.

        Raises:
            UserError: if the checkpoint is not of this run's model, channel order and classes, or holds weights alone.
        """
        load_own_weights(self.bare_model, content, self.cfg, source)
        check_own_channel_order(content, self.cfg, source)
        check_class_names(content.get("class_names"), self.class_names, source)
        load_optimizer(self.optimizer, content["optimizer_state"], source)
        if self.ema is not None:
            # A run whose EMA begins only now starts it from the weights themselves.
            load_weights(self.ema.model, content.get("ema_state") or content["model_state"], f"{source} (EMA)")
        if content.get("scaler_state"):
            restore_state(self._load_scale, content["scaler_state"], source, "scaler_state")
        self.progress, changes = self._progress_of(content)
        self.resumed_from = source
        return changes

    def _load_scale(self, state: dict[str, Any]) -> None:
        odd = [name for name, value in state.items() if not isinstance(value, int | float)]
        if odd:
            raise ValueError(f"{odd[0]} is no number")
        self.scaler.load_state_dict(state)

    def _progress_of(self, content: dict[str, Any]) -> tuple[Progress, list[str]]:
        """Where the run of a checkpoint stands, in steps of this run, and what ``load_state_dict`` returns."""
        num_epochs, num_steps = content["epoch"] + 1, content.get("step", 0)
        best = {"best_accuracy": content["best_accuracy"], "num_without_best": self._num_without_best(content)}
        if num_steps == 0:
            return Progress(num_epochs, **best), []
        rank_states, old_videos_per_step = content["rank_states"], content["videos_per_step"]
        changes = []
        if content["seed"] != self.cfg.RNG_SEED:
            changes.append(f"RNG_SEED is {self.cfg.RNG_SEED} and was {content['seed']}")
        if len(rank_states) != distributed.world_size():
            changes.append(f"there are {distributed.world_size()} processes and were {len(rank_states)}")
        if old_videos_per_step != self.videos_per_step:
            changes.append(f"a step takes {self.videos_per_step} videos and took {old_videos_per_step}")
            num_steps = min(num_steps * old_videos_per_step // self.videos_per_step, self.steps_per_epoch)
        rank_state = None if changes else rank_states[distributed.rank()]
        return Progress(num_epochs, num_steps, rank_state=rank_state, **best), changes

    def _num_without_best(self, content: dict[str, Any]) -> int:
        """What a checkpoint has counted for ``SOLVER.PATIENCE``. Where that has ended the training, a larger
        ``SOLVER.MAX_EPOCH`` begins anew."""
        num_without_best, config = content.get("num_without_best", 0), config_of(content)
        max_epoch, patience = (config.get(f"SOLVER.{key}") for key in ("MAX_EPOCH", "PATIENCE"))
        if not isinstance(max_epoch, int) or not isinstance(patience, int):
            return num_without_best
        has_ended = 0 < patience <= num_without_best
        return 0 if has_ended and max_epoch < self.cfg.SOLVER.MAX_EPOCH else num_without_best
