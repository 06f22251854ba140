"""From a config to a run of training."""

import logging
from pathlib import Path

import torch
from fvcore.common.config import CfgNode
from torch import nn
from torch.utils.data import DataLoader

from slowfast.config.load import flatten
from slowfast.datasets import build_class_names, build_dataset, build_loader
from slowfast.datasets.transforms.mixup import Mixup
from slowfast.engine.checkpoint import CheckpointFolder, head_rules, load_together
from slowfast.engine.class_balance import class_weights_of
from slowfast.engine.ema import WeightEma
from slowfast.engine.output_dir import start_output
from slowfast.engine.resume import read_together
from slowfast.engine.scoring import Scorer, build_normalize
from slowfast.engine.train_run import Progress, TrainRun
from slowfast.errors import UserError
from slowfast.models import VideoModel, build_model
from slowfast.models.weights.report import WeightsReport
from slowfast.runtime import distributed
from slowfast.runtime.compiler import check_compiler
from slowfast.runtime.metrics.log import MetricsLog
from slowfast.runtime.metrics.writer import MetricsSource
from slowfast.runtime.precision import autocast_dtype, gradient_scaler
from slowfast.runtime.reproduce import seed_process
from slowfast.solver.loss import build_loss
from slowfast.solver.optimizer import build_optimizer
from slowfast.solver.schedule import LearningRateSchedule

logger = logging.getLogger(__name__)


def build_run(cfg: CfgNode, device: torch.device) -> TrainRun:
    """Read the lists, build the model and give it its weights; only then write to ``OUTPUT_DIR``.

    Raises:
        UserError: for bad lists, weights or checkpoints, or a logger that is not installed.
    """
    metrics = MetricsLog([*cfg.TRAIN.LOGGERS, *["tensorboard"] * cfg.TENSORBOARD.ENABLE])
    seed_process(cfg.RNG_SEED, 0, distributed.rank())
    loaders = [build_loader(cfg, build_dataset(cfg, split)) for split in ("train", "val")]
    class_names = build_class_names(cfg)
    model = build_model(cfg)
    newest = _checkpoint_to_resume(cfg)
    weights_report = _load_start_weights(cfg, model, class_names) if newest is None else None
    run = _assemble(cfg, device, _placed(cfg, model, device), loaders, class_names)
    changes = [] if newest is None else run.load_state_dict(read_together(newest), newest)
    _begin_output(run, metrics, is_new=newest is None)
    if weights_report is not None:
        weights_report.log()
    if newest is not None:
        _log_resumption(run.progress, newest, changes)
    return run


def _checkpoint_to_resume(cfg: CfgNode) -> Path | None:
    """The newest checkpoint of ``OUTPUT_DIR``, unless the run is to begin anew; the same file on all processes."""
    # One process looks: what several see on a shared file system may differ for a while.
    is_wanted = cfg.TRAIN.AUTO_RESUME and distributed.is_main()
    return distributed.from_main(CheckpointFolder(Path(cfg.OUTPUT_DIR)).newest() if is_wanted else None)


def _load_start_weights(cfg: CfgNode, model: VideoModel, class_names: list[str] | None) -> WeightsReport | None:
    """Weights of a run that starts at epoch 0: ``TRAIN.CHECKPOINT_FILE_PATH``, else what its family starts from."""
    rules = head_rules(cfg, class_names)
    source = cfg.TRAIN.CHECKPOINT_FILE_PATH or model.weights.pretrained_source(cfg)
    return load_together(model, source, rules) if source else None


def _placed(cfg: CfgNode, model: nn.Module, device: torch.device) -> nn.Module:
    """The model on its device, with the BatchNorm that ``BN.NORM_TYPE`` asks for."""
    if cfg.BN.NORM_TYPE == "sync_batchnorm" and distributed.is_distributed():
        if device.type == "cpu":
            raise UserError(
                "BN.NORM_TYPE sync_batchnorm computes on GPUs only, and NUM_GPUS is 0; set it to batchnorm to train in "
                "several processes on the CPU"
            )
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return model.to(device)


def _assemble(
    cfg: CfgNode, device: torch.device, model: nn.Module, loaders: list[DataLoader], class_names: list[str] | None
) -> TrainRun:
    """Put a run together that stands at its beginning."""
    ema = WeightEma(model, cfg.MODEL.EMA_DECAY) if cfg.MODEL.EMA_EPOCH >= 0 else None
    dtype = autocast_dtype(cfg.TRAIN.MIXED_PRECISION_DTYPE, device) if cfg.TRAIN.MIXED_PRECISION else None
    optimizer = build_optimizer(cfg, model)
    class_weights = class_weights_of(cfg, loaders[0].dataset)
    if cfg.MODEL.COMPILE:
        check_compiler("MODEL.COMPILE True", device)
        model.compile()
    return TrainRun(
        cfg=cfg,
        device=device,
        model=distributed.wrap_model(model, device),
        ema=ema,
        optimizer=optimizer,
        scaler=gradient_scaler(device, dtype),
        autocast_dtype=dtype,
        schedule=LearningRateSchedule.from_config(cfg),
        loss=build_loss(cfg, None if class_weights is None else class_weights.to(device)),
        mixup=Mixup.from_config(cfg),
        normalize=build_normalize(cfg, device),
        scorer=Scorer.from_config(cfg, device),
        train_loader=loaders[0],
        val_loader=loaders[1],
        class_names=class_names,
        checkpoints=CheckpointFolder(Path(cfg.OUTPUT_DIR), cfg.TRAIN.NUM_CHECKPOINTS_KEPT),
    )


def _begin_output(run: TrainRun, metrics: MetricsLog, *, is_new: bool) -> None:
    """Make ``OUTPUT_DIR`` or resume in it; a new run moves what another one left there out of its way."""
    cfg, output_dir = run.cfg, Path(run.cfg.OUTPUT_DIR)
    start_output(cfg, output_dir)
    if distributed.is_main():
        run.checkpoints.remove_halves()
        if is_new:
            run.checkpoints.put_aside()
    num_epochs, num_steps = run.progress.num_epochs, run.progress.num_steps
    source = MetricsSource(
        output_dir,
        num_epochs=num_epochs,
        num_steps=num_epochs * run.steps_per_epoch + num_steps,
        config=dict(flatten(cfg)),
    )
    run.metrics = metrics.open(source)


def _log_resumption(state: Progress, source: Path, changes: list[str]) -> None:
    """Log where a run resumes; a warning says if it will not repeat the one before it bit by bit."""
    logger.info("resuming from %s: %d epochs and %d steps done", source, state.num_epochs, state.num_steps)
    if changes:
        logger.warning(
            "the rest of epoch %d draws other random numbers than without the interruption: %s; it resumes at step %d",
            state.num_epochs + 1,
            ", ".join(changes),
            state.num_steps + 1,
        )
