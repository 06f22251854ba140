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
from slowfast.datasets.mixup import Mixup
from slowfast.engine.checkpoint import CheckpointFolder, head_rules, resume
from slowfast.engine.ema import WeightAverage
from slowfast.engine.output import start_output
from slowfast.models import build_model
from slowfast.models.pretrained import load_pretrained
from slowfast.models.weight_report import WeightsReport
from slowfast.models.weights import load_source
from slowfast.runtime import distributed
from slowfast.runtime.log import MetricsLog, setup_logging
from slowfast.runtime.reproduce import seed_process
from slowfast.solver.loss import build_loss
from slowfast.solver.optimizer import build_optimizer
from slowfast.solver.schedule import LearningRateSchedule

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainRun:
    """Everything that a run of training is made of.

    ``model`` is wrapped for several processes; ``bare_model`` is not. ``average`` is None without ``MODEL.EMA_EPOCH``,
    ``mixup`` without ``MIXUP.ENABLE``.
    """

    cfg: CfgNode
    device: torch.device
    model: nn.Module
    average: WeightAverage | None
    optimizer: torch.optim.Optimizer
    schedule: LearningRateSchedule
    loss: Callable[[Tensor, Tensor], Tensor]
    mixup: Mixup | None
    train_loader: DataLoader
    val_loader: DataLoader
    class_names: list[str] | None
    checkpoints: CheckpointFolder
    metrics: MetricsLog

    @property
    def bare_model(self) -> nn.Module:
        """The model whose state-dict keys are the published ones."""
        return distributed.unwrap_model(self.model)


@dataclass(frozen=True)
class Progress:
    """Where a run stands: epochs done, and the best validation accuracy in percent so far."""

    num_epochs: int = 0
    best_top1: float = -1.0


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
    checkpoints = CheckpointFolder(output_dir)
    newest = checkpoints.latest() if cfg.TRAIN.AUTO_RESUME else None
    weights_report = _load_start_weights(cfg, model, class_names) if newest is None else None
    if cfg.BN.NORM_TYPE == "sync_batchnorm" and distributed.is_distributed():
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    model.to(device)
    average = WeightAverage(model, cfg.MODEL.EMA_DECAY) if cfg.MODEL.EMA_EPOCH >= 0 else None
    optimizer = build_optimizer(cfg, model)
    state = Progress()
    if newest is not None:
        state = _resume(newest, model, optimizer, average, class_names)
    start_output(cfg, output_dir)
    setup_logging(output_dir)
    if weights_report is not None:
        weights_report.log()
    if newest is not None:
        logger.info("resuming from %s: %d epochs done", newest, state.num_epochs)
    run = TrainRun(
        cfg=cfg,
        device=device,
        model=distributed.wrap_model(model, device),
        average=average,
        optimizer=optimizer,
        schedule=LearningRateSchedule.from_config(cfg),
        loss=loss,
        mixup=mixup,
        train_loader=train_loader,
        val_loader=val_loader,
        class_names=class_names,
        checkpoints=checkpoints,
        metrics=MetricsLog(output_dir, has_tensorboard=cfg.TENSORBOARD.ENABLE),
    )
    _log_plan(run)
    return run, state


def _load_start_weights(cfg: CfgNode, model: nn.Module, class_names: list[str] | None) -> WeightsReport | None:
    """Weights of a run that starts at epoch 0: ``TRAIN.CHECKPOINT_FILE_PATH``, else the pretraining."""
    rules = head_rules(cfg, class_names)
    if cfg.TRAIN.CHECKPOINT_FILE_PATH:
        return load_source(model, cfg.TRAIN.CHECKPOINT_FILE_PATH, rules)
    return load_pretrained(cfg, model, rules)


def _resume(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    class_names: list[str] | None,
) -> Progress:
    content: dict[str, Any] = resume(path, model, optimizer, class_names)
    if average is not None:
        # A run that starts to average only now starts from the weights themselves.
        average.load_state_dict(content.get("ema_state") or content["model_state"])
    return Progress(content["epoch"] + 1, content["best_top1"])


def _log_plan(run: TrainRun) -> None:
    """Say what will happen, in the figures that people get wrong."""
    cfg = run.cfg
    num_parameters = sum(p.numel() for p in run.model.parameters())
    num_trained = sum(p.numel() for p in run.model.parameters() if p.requires_grad)
    logger.info(
        "%s: %.2f M parameters, %.2f M of them trained, %d classes, %d frames of %d px, device %s",
        cfg.MODEL.MODEL_NAME,
        num_parameters / 1e6,
        num_trained / 1e6,
        cfg.MODEL.NUM_CLASSES,
        cfg.DATA.NUM_FRAMES,
        cfg.DATA.TRAIN_CROP_SIZE,
        run.device,
    )
    logger.info(
        "%d training videos, %d validation videos, effective batch of %d clips on %d processes, %d epochs of %d steps, "
        "peak learning rate %g",
        len(run.train_loader.dataset),
        len(run.val_loader.dataset),
        run.train_loader.batch_size * run.train_loader.dataset.num_repeats * distributed.world_size(),
        distributed.world_size(),
        cfg.SOLVER.MAX_EPOCH,
        len(run.train_loader),
        run.schedule.base_lr,
    )
