"""Training: one loop over epochs and one over steps."""

import logging
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.datasets.records import Batch
from slowfast.datasets.transforms.functional import normalize
from slowfast.engine.precise_bn import update_bn_stats
from slowfast.engine.step_meter import StepMeter
from slowfast.engine.test import evaluate, report_on
from slowfast.engine.train_run import Progress, TrainRun, build_run
from slowfast.evaluation.accuracy import top_k_correct
from slowfast.runtime import distributed
from slowfast.runtime.errors import UserError
from slowfast.runtime.log import progress
from slowfast.runtime.reproduce import seed_process
from slowfast.solver.optimizer import set_learning_rate

logger = logging.getLogger(__name__)


def train(cfg: CfgNode, device: torch.device) -> None:
    """Train from the config to ``SOLVER.MAX_EPOCH``, going on from the newest checkpoint of ``OUTPUT_DIR``.

    Raises:
        UserError: for bad lists, weights or checkpoints, before anything is written.
    """
    run, state = build_run(cfg, device)
    for epoch in range(state.num_epochs, cfg.SOLVER.MAX_EPOCH):
        # Seeding each epoch by itself makes a resumed run draw what an uninterrupted one draws.
        seed_process(cfg.RNG_SEED, epoch, distributed.rank())
        if run.average is not None and epoch == cfg.MODEL.EMA_EPOCH:
            run.average.load_state_dict(run.bare_model.state_dict())
        train_epoch(run, epoch)
        is_last = epoch + 1 == cfg.SOLVER.MAX_EPOCH
        top1 = None
        if is_last or (epoch + 1) % cfg.TRAIN.EVAL_PERIOD == 0:
            if cfg.BN.USE_PRECISE_STATS:
                update_bn_stats(run.bare_model, training_clips(run, epoch), cfg.BN.NUM_BATCHES_PRECISE)
            top1 = validate(run, epoch)
        is_best = top1 is not None and top1 > state.best_top1
        state = Progress(epoch + 1, top1 if is_best else state.best_top1)
        if distributed.is_main():
            save(run, state, is_best=is_best, is_last=is_last)
    distributed.barrier()
    run.metrics.close()


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
        clips, targets = normalize(batch.clips, mean, std), batch.labels
        if run.mixup is not None:
            clips, targets = run.mixup(clips, targets, step_generator(cfg.RNG_SEED, epoch, step_idx))
        with torch.autocast(device.type, torch.bfloat16, enabled=has_autocast):
            logits = run.model(clips)
            loss = run.loss(logits, targets)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        grad_norm = nn.utils.clip_grad_norm_(run.model.parameters(), max_norm)
        run.optimizer.step()
        if run.average is not None and epoch >= cfg.MODEL.EMA_EPOCH:
            run.average.update(run.bare_model)
        meter.add(loss, top_k_correct(logits.detach(), batch.labels, 1), grad_norm, len(batch.labels), data_time_s)
        if (step_idx + 1) % cfg.LOG_PERIOD == 0 or step_idx + 1 == len(loader):
            _log_steps(run, meter, epoch, step_idx + 1, lr, num_replaced)
            meter.reset()
        waiting_since = time.perf_counter()


def step_generator(seed: int, epoch: int, step_idx: int) -> np.random.Generator:
    """Generator of one step's draws on this process; the last word keeps it apart from those of the samples."""
    return np.random.default_rng((seed, epoch, step_idx, distributed.rank(), 1))


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


def training_clips(run: TrainRun, epoch: int) -> Iterator[Tensor]:
    """The normalised clips of an epoch's batches, float32 (N, C, T, H, W) on the device."""
    mean, std = (torch.tensor(values, device=run.device) for values in (run.cfg.DATA.MEAN, run.cfg.DATA.STD))
    run.train_loader.sampler.set_epoch(epoch)
    for batch in run.train_loader:
        yield normalize(batch.to(run.device).clips, mean, std)


def validate(run: TrainRun, epoch: int) -> float | None:
    """Top-1 in percent on the central view of the validation videos, after an epoch; None on ranks other than 0.

    With a moving average of the weights, its accuracy is logged beside.
    """
    top1 = _validate_model(run, run.bare_model, epoch, "val")
    if run.average is not None and epoch >= run.cfg.MODEL.EMA_EPOCH:
        _validate_model(run, run.average.model, epoch, "val_ema")
    return top1


def _validate_model(run: TrainRun, model: nn.Module, epoch: int, kind: str) -> float | None:
    start = time.perf_counter()
    evaluation = evaluate(run.cfg, model, run.val_loader, run.device)
    if evaluation is None:
        return None
    report, _, _ = report_on(evaluation, run.val_loader.dataset)
    for path, cause in report.failures:
        logger.warning("%s could not be read: %s", path, cause)
    logger.info("validation%s: %s", " of the average" if kind == "val_ema" else "", report.summary())
    run.metrics.write(
        kind,
        (epoch + 1) * len(run.train_loader),
        top1=report.top1,
        top5=report.top5,
        time_s=time.perf_counter() - start,
        expected=report.expected,
        scored=report.scored,
        failed=report.failed,
    )
    return report.top1


def save(run: TrainRun, state: Progress, *, is_best: bool, is_last: bool) -> None:
    """Write the checkpoints that are due after an epoch; rank 0 only."""
    cfg = run.cfg
    content: dict[str, Any] = {
        "model_state": run.bare_model.state_dict(),
        "ema_state": None if run.average is None else run.average.state_dict(),
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
    if cfg.TRAIN.SAVE_LATEST and (state.num_epochs - 1) % cfg.TRAIN.CHECKPOINT_PERIOD != 0:
        run.checkpoints.remove(state.num_epochs - 2)  # kept as the latest only
