"""Training: assemble, then one loop over epochs and one over steps."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import simplejson
import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torch.utils.data import DataLoader

from slowfast.datasets import build_class_names, build_dataset, build_loader
from slowfast.datasets.records import Batch
from slowfast.datasets.transforms.functional import normalize
from slowfast.engine.checkpoint import CheckpointFolder, head_rules, resume
from slowfast.engine.test import evaluate, report_on
from slowfast.evaluation.accuracy import top_k_correct
from slowfast.models import build_model
from slowfast.models.pretrained import load_pretrained
from slowfast.models.weights import load_source
from slowfast.runtime import distributed
from slowfast.runtime.errors import UserError
from slowfast.runtime.log import MetricsLog, progress, setup_logging
from slowfast.runtime.reproduce import environment_stamp, seed_process
from slowfast.solver.loss import build_loss
from slowfast.solver.optimizer import build_optimizer, set_learning_rate
from slowfast.solver.schedule import LearningRateSchedule

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainRun:
    """Everything that a run of training is made of; ``model`` is wrapped for several processes."""

    cfg: CfgNode
    device: torch.device
    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: LearningRateSchedule
    loss: Callable[[Tensor, Tensor], Tensor]
    train_loader: DataLoader
    val_loader: DataLoader
    class_names: list[str] | None
    checkpoints: CheckpointFolder
    metrics: MetricsLog


@dataclass(frozen=True)
class Progress:
    """Where a run stands: epochs done, and the best validation accuracy in percent so far."""

    num_epochs: int = 0
    best_top1: float = -1.0


class StepMeter:
    """Averages since the last log line; sums stay on the device, so that logging rarely waits for it."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.reset()

    def reset(self) -> None:
        """Forget what was added."""
        self.sums = torch.zeros(3, dtype=torch.float64, device=self.device)
        self.num_steps = self.num_clips = 0
        self.data_time_s = 0.0
        self.start = time.perf_counter()

    def add(self, loss: Tensor, correct: Tensor, grad_norm: Tensor, num_clips: int, data_time_s: float) -> None:
        """Add one step: mean loss, correct predictions (N,) and gradient norm."""
        self.sums += torch.stack([loss.detach().double(), correct.double().sum(), grad_norm.double()])
        self.num_steps += 1
        self.num_clips += num_clips
        self.data_time_s += data_time_s

    def averages(self) -> dict[str, float]:
        """Loss, top-1 in percent, gradient norm and times in seconds a step, over this process."""
        loss, num_correct, grad_norm = self.sums.tolist()
        return {
            "loss": loss / self.num_steps,
            "top1": 100.0 * num_correct / self.num_clips,
            "grad_norm": grad_norm / self.num_steps,
            "data_time_s": self.data_time_s / self.num_steps,
            "step_time_s": (time.perf_counter() - self.start) / self.num_steps,
        }


def train(cfg: CfgNode, device: torch.device) -> None:
    """Train from the config to ``SOLVER.MAX_EPOCH``, going on from the newest checkpoint of ``OUTPUT_DIR``.

    Raises:
        UserError: for bad lists, weights or checkpoints, before anything is written.
    """
    run, state = build_run(cfg, device)
    steps_per_epoch = len(run.train_loader)
    for epoch in range(state.num_epochs, cfg.SOLVER.MAX_EPOCH):
        # Seeding each epoch by itself makes a resumed run draw what an uninterrupted one draws.
        seed_process(cfg.RNG_SEED, epoch, distributed.rank())
        train_epoch(run, epoch)
        is_last = epoch + 1 == cfg.SOLVER.MAX_EPOCH
        top1 = None
        if is_last or (epoch + 1) % cfg.TRAIN.EVAL_PERIOD == 0:
            top1 = validate(run, (epoch + 1) * steps_per_epoch)
        is_best = top1 is not None and top1 > state.best_top1
        state = Progress(epoch + 1, top1 if is_best else state.best_top1)
        if distributed.is_main():
            save(run, state, is_best=is_best, is_last=is_last)
    distributed.barrier()
    run.metrics.close()


def build_run(cfg: CfgNode, device: torch.device) -> tuple[TrainRun, Progress]:
    """Read the lists, build the model and give it its weights; only then write to ``OUTPUT_DIR``."""
    seed_process(cfg.RNG_SEED, 0, distributed.rank())
    train_loader = build_loader(cfg, build_dataset(cfg, "train"))
    val_loader = build_loader(cfg, build_dataset(cfg, "val"))
    class_names = build_class_names(cfg)
    loss = build_loss(cfg)
    model = build_model(cfg)
    output_dir = Path(cfg.OUTPUT_DIR)
    checkpoints = CheckpointFolder(output_dir)
    newest = checkpoints.latest() if cfg.TRAIN.AUTO_RESUME else None
    weights_report = None
    if newest is None:
        rules = head_rules(cfg, class_names)
        if cfg.TRAIN.CHECKPOINT_FILE_PATH:
            weights_report = load_source(model, cfg.TRAIN.CHECKPOINT_FILE_PATH, rules)
        else:
            weights_report = load_pretrained(cfg, model, rules)
    model.to(device)
    optimizer = build_optimizer(cfg, model)
    state = Progress()
    if newest is not None:
        content = resume(newest, model, optimizer, class_names)
        state = Progress(content["epoch"] + 1, content["best_top1"])
    _start_output(cfg, output_dir)
    if weights_report is not None:
        weights_report.log()
    if newest is not None:
        logger.info("resuming from %s: %d epochs done", newest, state.num_epochs)
    run = TrainRun(
        cfg=cfg,
        device=device,
        model=distributed.wrap_model(model, device),
        optimizer=optimizer,
        schedule=LearningRateSchedule.from_config(cfg),
        loss=loss,
        train_loader=train_loader,
        val_loader=val_loader,
        class_names=class_names,
        checkpoints=checkpoints,
        metrics=MetricsLog(output_dir, has_tensorboard=cfg.TENSORBOARD.ENABLE),
    )
    _log_plan(run)
    return run, state


def _start_output(cfg: CfgNode, output_dir: Path) -> None:
    """Record what the run depends on: resolved config, environment and seed."""
    if distributed.is_main():
        try:
            output_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"OUTPUT_DIR {output_dir}: cannot be made: {error.strerror}") from None
        (output_dir / "config.yaml").write_text(cfg.dump())
        stamp = environment_stamp(cfg.RNG_SEED)
        (output_dir / "environment.json").write_text(simplejson.dumps(stamp, indent=2) + "\n")
    distributed.barrier()
    setup_logging(output_dir)


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
        "%d training videos, %d validation videos, effective batch %d on %d processes, %d epochs of %d steps, "
        "peak learning rate %g",
        len(run.train_loader.dataset),
        len(run.val_loader.dataset),
        run.train_loader.batch_size * distributed.world_size(),
        distributed.world_size(),
        cfg.SOLVER.MAX_EPOCH,
        len(run.train_loader),
        run.schedule.base_lr,
    )


def train_epoch(run: TrainRun, epoch: int) -> None:
    """One pass over the training videos; logs every ``LOG_PERIOD`` steps.

    Raises:
        UserError: if the loss is not finite, or more videos than ``DATA_LOADER.MAX_REPLACED`` could not be read.
    """
    cfg, loader, device = run.cfg, run.train_loader, run.device
    mean, std = (torch.tensor(values, device=device) for values in (cfg.DATA.MEAN, cfg.DATA.STD))
    has_autocast = cfg.TRAIN.MIXED_PRECISION and device.type == "cuda"
    max_norm = cfg.SOLVER.CLIP_GRADIENT if cfg.SOLVER.CLIP_GRADIENT > 0 else math.inf
    loader.sampler.set_epoch(epoch)
    run.model.train()
    meter, num_replaced, waiting_since = StepMeter(device), 0, time.perf_counter()
    for step_idx, batch in enumerate(progress(loader, f"epoch {epoch + 1}", len(loader))):
        data_time_s = time.perf_counter() - waiting_since
        num_replaced += count_replaced(cfg, batch, num_replaced, len(loader.sampler))
        lr = run.schedule(epoch + step_idx / len(loader))
        set_learning_rate(run.optimizer, lr)
        batch = batch.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=has_autocast):
            logits = run.model(normalize(batch.clips, mean, std))
            loss = run.loss(logits, batch.labels)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        grad_norm = nn.utils.clip_grad_norm_(run.model.parameters(), max_norm)
        run.optimizer.step()
        meter.add(loss, top_k_correct(logits.detach(), batch.labels, 1), grad_norm, len(batch.labels), data_time_s)
        if (step_idx + 1) % cfg.LOG_PERIOD == 0 or step_idx + 1 == len(loader):
            _log_steps(run, meter, epoch, step_idx + 1, lr, num_replaced)
            meter.reset()
        waiting_since = time.perf_counter()


def count_replaced(cfg: CfgNode, batch: Batch, num_before: int, num_videos: int) -> int:
    """Name the unreadable videos of a batch and return how many there are.

    Args:
        cfg: DATA_LOADER.MAX_REPLACED is read, the largest share of an epoch's videos.
        batch: a training batch.
        num_before: replaced earlier in this epoch on this process.
        num_videos: of this epoch on this process.

    Raises:
        UserError: if there are too many, or one could not be replaced.
    """
    for failure in batch.replaced:
        logger.warning("%s could not be read and was replaced: %s", failure.path, failure.cause)
    if batch.failed:
        failure = batch.failed[0]
        raise UserError(
            f"{failure.path} could not be read ({failure.cause}), nor could the videos drawn in its place; "
            f"check DATA.PATH_PREFIX and the list"
        )
    count = len(batch.replaced)
    if count and num_before + count > cfg.DATA_LOADER.MAX_REPLACED * num_videos:
        failure = batch.replaced[-1]
        raise UserError(
            f"{num_before + count} of an epoch's {num_videos} videos could not be read, more than the share of "
            f"DATA_LOADER.MAX_REPLACED {cfg.DATA_LOADER.MAX_REPLACED:g}; the last is {failure.path}: {failure.cause}"
        )
    return count


def _log_steps(run: TrainRun, meter: StepMeter, epoch: int, num_steps: int, lr: float, num_replaced: int) -> None:
    """Log the averages since the last line, and stop a run whose loss is no number."""
    values = meter.averages()
    steps_per_epoch = len(run.train_loader)
    if not math.isfinite(values["loss"]):
        raise UserError(
            f"the loss is {values['loss']} in epoch {epoch + 1}, steps up to {num_steps}; lower SOLVER.BASE_LR or "
            f"SOLVER.CLIP_GRADIENT, or set TRAIN.MIXED_PRECISION False"
        )
    if run.device.type == "cuda":
        values["memory_gib"] = torch.cuda.max_memory_allocated(run.device) / 2**30
    values |= {"epoch": epoch + 1, "lr": lr, "num_replaced": num_replaced}
    run.metrics.write("train", epoch * steps_per_epoch + num_steps, **values)
    logger.info(
        "epoch %d/%d step %d/%d: loss %.4f, top-1 %.1f %%, lr %.3g, step %.3f s (%.3f s waiting for data)%s",
        epoch + 1,
        run.cfg.SOLVER.MAX_EPOCH,
        num_steps,
        steps_per_epoch,
        values["loss"],
        values["top1"],
        lr,
        values["step_time_s"],
        values["data_time_s"],
        f", {num_replaced} videos replaced" if num_replaced else "",
    )


def validate(run: TrainRun, step: int) -> float | None:
    """Top-1 in percent on the central view of the validation videos; None on ranks other than 0."""
    start = time.perf_counter()
    evaluation = evaluate(run.cfg, distributed.unwrap_model(run.model), run.val_loader, run.device)
    if evaluation is None:
        return None
    report, _, _ = report_on(evaluation, run.val_loader.dataset)
    for path, cause in report.failures:
        logger.warning("%s could not be read: %s", path, cause)
    logger.info("validation: %s", report.summary())
    counts = {"expected": report.expected, "scored": report.scored, "failed": report.failed}
    run.metrics.write("val", step, top1=report.top1, top5=report.top5, time_s=time.perf_counter() - start, **counts)
    return report.top1


def save(run: TrainRun, state: Progress, *, is_best: bool, is_last: bool) -> None:
    """Write the checkpoints that are due after an epoch; rank 0 only."""
    cfg = run.cfg
    content: dict[str, Any] = {
        "model_state": distributed.unwrap_model(run.model).state_dict(),
        "optimizer_state": run.optimizer.state_dict(),
        "epoch": state.num_epochs - 1,
        "best_top1": state.best_top1,
        "config": cfg.dump(),
        "class_names": run.class_names,
    }
    if is_best:
        run.checkpoints.save(content, is_best=True)
    if is_last or cfg.TRAIN.SAVE_LATEST or state.num_epochs % cfg.TRAIN.CHECKPOINT_PERIOD == 0:
        path = run.checkpoints.save(content)
        logger.info("saved %s", path)
