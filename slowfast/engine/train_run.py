"""What a run of training is made of, and how it is assembled."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torch.utils.data import DataLoader

from slowfast.datasets import build_class_names, build_dataset, build_loader
from slowfast.datasets.transforms.mixup import Mixup
from slowfast.engine.checkpoint import CheckpointFolder, head_rules, resume
from slowfast.engine.ema import WeightAverage
from slowfast.engine.output_dir import start_output
from slowfast.engine.scoring import Scorer, build_normalize
from slowfast.errors import UserError
from slowfast.models import build_model
from slowfast.models.weights.load import load_pretrained, load_source
from slowfast.models.weights.report import WeightsReport
from slowfast.runtime import distributed
from slowfast.runtime.log import MetricsLog
from slowfast.runtime.precision import autocast_dtype, gradient_scaler
from slowfast.runtime.reproduce import seed_process
from slowfast.solver.loss import build_loss
from slowfast.solver.optimizer import build_optimizer
from slowfast.solver.schedule import LearningRateSchedule

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainRun:
    """Everything that a run of training is made of.

    ``model`` is wrapped for several processes; ``bare_model`` is not. ``average`` is None without ``MODEL.EMA_EPOCH``,
    ``mixup`` without ``MIXUP.ENABLE``, ``autocast_dtype`` where training is in float32. ``normalize`` takes uint8 clips
    (N, C, T, H, W) on the device to float32.
    """

    cfg: CfgNode
    device: torch.device
    model: nn.Module
    average: WeightAverage | None
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
    metrics: MetricsLog

    @property
    def bare_model(self) -> nn.Module:
        """The model whose state-dict keys are the published ones."""
        return distributed.unwrap_model(self.model)

    def is_averaging(self, state: "Progress") -> bool:
        """Whether the moving average of the weights has begun."""
        begun = state.num_epochs + (state.num_steps > 0) > self.cfg.MODEL.EMA_EPOCH
        return self.average is not None and begun

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer updates an epoch."""
        return self.train_loader.sampler.num_steps

    @property
    def own_videos_per_epoch(self) -> int:
        """Videos an epoch on this process."""
        return self.steps_per_epoch * self.videos_per_step // distributed.world_size()

    @property
    def videos_per_step(self) -> int:
        """Videos a step, of all processes."""
        return self.train_loader.sampler.videos_per_step


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        num_epochs: finished, their validation included.
        num_steps: done of the epoch after them; all of its steps, where only its validation is left.
        best_accuracy: best validation accuracy in percent so far.
        rank_state: of this process, to go on within an epoch; None for what a new epoch begins with.
    """

    num_epochs: int = 0
    num_steps: int = 0
    best_accuracy: float = -1.0
    rank_state: dict[str, Any] | None = None


def build_run(cfg: CfgNode, device: torch.device) -> tuple[TrainRun, Progress]:
    """Read the lists, build the model and give it its weights; only then write to ``OUTPUT_DIR``.

    Raises:
        UserError: for bad lists, weights or checkpoints.
    """
    seed_process(cfg.RNG_SEED, 0, distributed.rank())
    train_loader = build_loader(cfg, build_dataset(cfg, "train"))
    val_loader = build_loader(cfg, build_dataset(cfg, "val"))
    class_names = build_class_names(cfg)
    loss, mixup = build_loss(cfg), Mixup.from_config(cfg)
    model = build_model(cfg)
    output_dir = Path(cfg.OUTPUT_DIR)
    checkpoints = CheckpointFolder(output_dir, cfg.TRAIN.NUM_CHECKPOINTS_KEPT)
    # One process looks: what several see on a shared file system may differ for a while.
    newest = distributed.from_main(checkpoints.newest() if cfg.TRAIN.AUTO_RESUME and distributed.is_main() else None)
    weights_report = _load_start_weights(cfg, model, class_names) if newest is None else None
    if cfg.BN.NORM_TYPE == "sync_batchnorm" and distributed.is_distributed():
        if device.type == "cpu":
            raise UserError(
                "BN.NORM_TYPE sync_batchnorm computes on GPUs only, and NUM_GPUS is 0; set it to batchnorm to train in "
                "several processes on the CPU"
            )
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    model.to(device)
    average = WeightAverage(model, cfg.MODEL.EMA_DECAY) if cfg.MODEL.EMA_EPOCH >= 0 else None
    optimizer = build_optimizer(cfg, model)
    dtype = autocast_dtype(cfg.TRAIN.MIXED_PRECISION_DTYPE, device) if cfg.TRAIN.MIXED_PRECISION else None
    scaler = gradient_scaler(device, dtype)
    content = None if newest is None else resume(newest, cfg, model, optimizer, class_names)
    if content is not None:
        _restore(content, average, scaler)
    if cfg.MODEL.COMPILE:
        model.compile()
    start_output(cfg, output_dir)
    if distributed.is_main():
        checkpoints.remove_halves()
        if newest is None:
            checkpoints.put_aside()
    if weights_report is not None:
        weights_report.log()
    state = Progress() if content is None else progress_of(content, cfg, train_loader, newest)
    num_steps = state.num_epochs * train_loader.sampler.num_steps + state.num_steps
    run = TrainRun(
        cfg=cfg,
        device=device,
        model=distributed.wrap_model(model, device),
        average=average,
        optimizer=optimizer,
        scaler=scaler,
        autocast_dtype=dtype,
        schedule=LearningRateSchedule.from_config(cfg),
        loss=loss,
        mixup=mixup,
        normalize=build_normalize(cfg, device),
        scorer=Scorer.from_config(cfg, device),
        train_loader=train_loader,
        val_loader=val_loader,
        class_names=class_names,
        checkpoints=checkpoints,
        metrics=MetricsLog(
            output_dir,
            has_tensorboard=cfg.TENSORBOARD.ENABLE,
            num_epochs=state.num_epochs,
            num_steps=num_steps,
        ),
    )
    return run, state


def _load_start_weights(cfg: CfgNode, model: nn.Module, class_names: list[str] | None) -> WeightsReport | None:
    """Weights of a run that starts at epoch 0: ``TRAIN.CHECKPOINT_FILE_PATH``, else the pretraining."""
    rules = head_rules(cfg, class_names)
    if cfg.TRAIN.CHECKPOINT_FILE_PATH:
        return load_source(model, cfg.TRAIN.CHECKPOINT_FILE_PATH, rules)
    return load_pretrained(cfg, model, rules)


def _restore(content: dict[str, Any], average: WeightAverage | None, scaler: torch.amp.GradScaler) -> None:
    """What ``resume`` leaves: the moving average and the loss scale."""
    if average is not None:
        # A run that starts to average only now starts from the weights themselves.
        average.load_state_dict(content.get("ema_state") or content["model_state"])
    if content.get("scaler_state"):
        scaler.load_state_dict(content["scaler_state"])


def progress_of(content: dict[str, Any], cfg: CfgNode, loader: DataLoader, path: Path) -> Progress:
    """Where a run that goes on from a checkpoint stands; a warning says if it will not repeat the one before it bit by
    bit.

    Args:
        content: of the checkpoint.
        cfg: RNG_SEED is read.
        loader: of the training videos.
        path: of the checkpoint.
    """
    num_epochs, num_steps, best_accuracy = content["epoch"] + 1, content.get("step", 0), content["best_accuracy"]
    logger.info("going on from %s: %d epochs and %d steps done", path, num_epochs, num_steps)
    if num_steps == 0:
        return Progress(num_epochs, best_accuracy=best_accuracy)
    sampler, rank_states = loader.sampler, content["rank_states"]
    changes = []
    if content["seed"] != cfg.RNG_SEED:
        changes.append(f"RNG_SEED is {cfg.RNG_SEED} and was {content['seed']}")
    if len(rank_states) != distributed.world_size():
        changes.append(f"there are {distributed.world_size()} processes and were {len(rank_states)}")
    if content["videos_per_step"] != sampler.videos_per_step:
        changes.append(f"a step takes {sampler.videos_per_step} videos and took {content['videos_per_step']}")
        num_steps = min(num_steps * content["videos_per_step"] // sampler.videos_per_step, sampler.num_steps)
    if changes:
        logger.warning(
            "the rest of epoch %d draws other random numbers than without the interruption: %s; it goes on at step %d",
            num_epochs + 1,
            ", ".join(changes),
            num_steps + 1,
        )
        return Progress(num_epochs, num_steps, best_accuracy)
    return Progress(num_epochs, num_steps, best_accuracy, rank_states[distributed.rank()])
