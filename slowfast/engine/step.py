"""One step of training: batches, gradients, one update."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from slowfast.datasets.records import Batch
from slowfast.engine.train_run import TrainRun
from slowfast.errors import UserError
from slowfast.evaluation.accuracy import top_k_correct
from slowfast.models import logits_of_heads
from slowfast.runtime import distributed
from slowfast.runtime.interruption import Interrupted
from slowfast.runtime.precision import autocast
from slowfast.solver.gradients import clip_gradients

logger = logging.getLogger(__name__)

MAX_NAMED = 8  # videos in an error's one line
MIN_LOSS_SCALE = 2.0**-14  # it begins at 2^16, and halves with every step that is left out


class StoppedBetweenSteps(Interrupted):
    """The run was asked to stop while it waited for the first batch of a step: it stands where that step begins."""


@dataclass(frozen=True)
class StepResult:
    """What a step gave on this process; tensors stay on the device.

    Attributes:
        step_idx: of the epoch, 0-based.
        losses: float (A,), the mean loss of each of the A accumulated batches.
        grad_norm: of the averaged gradient before clipping, float scalar.
        has_diverged: bool scalar; a loss is not finite, or the gradient where no loss scale adapts to that (float16).
        video_idx: rows of the list, one tensor per batch.
        num_correct, num_clips: right predictions, float scalar, among how many clips.
        data_time_s: waiting for the data.
        num_replaced: unreadable videos.
    """

    step_idx: int
    losses: Tensor
    grad_norm: Tensor
    has_diverged: Tensor
    video_idx: list[Tensor]
    num_correct: Tensor
    num_clips: int
    data_time_s: float
    num_replaced: int


def take_step(run: TrainRun, batches: Iterator[Batch], epoch: int, step_idx: int, num_replaced: int) -> StepResult:
    """Average the gradients of ``SOLVER.ACCUM_STEPS`` batches and update the weights.

    Args:
        run: its learning rate is set.
        batches: of this process.
        epoch, step_idx: 0-based, they seed the mixing of clips.
        num_replaced: unreadable videos of this epoch so far, on this process.

    Raises:
        UserError: if more videos than ``DATA_LOADER.MAX_REPLACED`` could not be read.
        Interrupted: if the run has been asked to stop and no batch comes; StoppedBetweenSteps before the first one.
    """
    num_batches = run.cfg.SOLVER.ACCUM_STEPS
    limit = {"num_videos": run.own_videos_per_epoch, "max_share": run.cfg.DATA_LOADER.MAX_REPLACED}
    run.optimizer.zero_grad(set_to_none=True)
    losses, video_idx, data_time_s, num_new = [], [], 0.0, 0
    num_correct, num_clips = torch.zeros((), device=run.device), 0
    for i in range(num_batches):
        start = perf_counter()
        batch = _next_batch(batches, is_first=i == 0)
        data_time_s += perf_counter() - start
        num_new += count_replaced(batch, num_replaced + num_new, **limit)
        batch = batch.to(run.device)
        clips, targets = run.clips_of(batch), batch.labels
        if run.mixup is not None:
            rng = step_generator(run.cfg.RNG_SEED, epoch, step_idx * num_batches + i)
            clips, targets = run.mixup(clips, targets, rng)
        # The processes average their gradients once per step, in the last backward pass.
        with distributed.gradient_sync(run.model, is_on=i + 1 == num_batches):
            with autocast(run.device, run.autocast_dtype):
                heads = logits_of_heads(run.model(clips))
                loss = sum(run.loss(logits, targets) for logits in heads) / len(heads)
            run.scaler.scale(loss / num_batches).backward()
        losses.append(loss.detach())
        video_idx.append(batch.video_idx)
        num_correct += top_k_correct(heads[0].detach(), batch.labels, 1).sum()
        num_clips += len(batch.labels)
    grad_norm = _update(run, epoch)
    stacked = torch.stack(losses)
    has_diverged = ~stacked.isfinite().all()
    if not run.scaler.is_enabled():
        has_diverged |= ~grad_norm.isfinite()
    return StepResult(
        step_idx, stacked, grad_norm, has_diverged, video_idx, num_correct, num_clips, data_time_s, num_new
    )


def _next_batch(batches: Iterator[Batch], *, is_first: bool) -> Batch:
    try:
        return next(batches)
    except Interrupted as stop:
        raise (StoppedBetweenSteps(stop.cause) if is_first else stop) from None


def _update(run: TrainRun, epoch: int) -> Tensor:
    """Clip the gradient, move the weights and their EMA; returns the gradient's norm before clipping."""
    solver = run.cfg.SOLVER
    run.scaler.unscale_(run.optimizer)
    grad_norm = clip_gradients(
        run.model.parameters(), max_norm=solver.CLIP_GRADIENT, max_value=solver.CLIP_GRAD_VAL
    ).detach()
    run.scaler.step(run.optimizer)
    run.scaler.update()
    if run.ema is not None and epoch >= run.cfg.MODEL.EMA_EPOCH:
        run.ema.update(run.bare_model)
    return grad_norm


def step_generator(seed: int, epoch: int, batch_idx: int) -> np.random.Generator:
    """Generator of the draws for one batch on this process; the last word keeps it apart from those of the samples."""
    return np.random.default_rng((seed, epoch, batch_idx, distributed.rank(), 1))


def refuse_divergence(run: TrainRun, epoch: int, result: StepResult) -> None:
    """Stop every process after a step whose loss or gradient is not finite; all call this together.

    Raises:
        UserError: naming the step, the videos of the batches concerned, and what to change.
    """
    records = run.train_loader.dataset.records
    losses = result.losses.tolist()
    bad = [i for i, loss in enumerate(losses) if not math.isfinite(loss)]
    paths = [records[row].path for i in bad for row in result.video_idx[i].tolist()]
    shares = distributed.gather_everywhere((losses[bad[0]] if bad else None, list(dict.fromkeys(paths))))
    told = f"in epoch {epoch + 1}, step {result.step_idx + 1}"
    remedy = "lower SOLVER.BASE_LR or SOLVER.CLIP_GRADIENT"
    if run.autocast_dtype is not None:
        remedy += ", or set TRAIN.MIXED_PRECISION False"
    newest = f"checkpoints in {run.checkpoints.folder}, if any, are from before"
    concerned = [(rank, *share) for rank, share in enumerate(shares) if share[1]]
    if not concerned:
        raise UserError(f"the gradient's norm is {result.grad_norm.item()} {told}; {newest}; {remedy}")
    for rank, loss, names in concerned:
        logger.error("loss %s on rank %d %s, with the videos %s", loss, rank, told, ", ".join(names))
    rank, loss, names = concerned[0]
    more = sum(len(others) for _, _, others in concerned) - len(names[:MAX_NAMED])
    named = ", ".join(names[:MAX_NAMED]) + (f" and {more} more, all in log.txt" if more > 0 else "")
    raise UserError(f"the loss is {loss} {told}, on rank {rank}, with the videos {named}; {newest}; {remedy}")


def refuse_lost_scale(run: TrainRun) -> None:
    """Stop a float16 run that has left out steps until nothing is left of its loss scale.

    Raises:
        UserError: naming what to change.
    """
    if run.scaler.is_enabled() and run.scaler.get_scale() < MIN_LOSS_SCALE:
        raise UserError(
            f"no float16 gradient is finite: step after step was left out, and the loss scale is down to "
            f"{run.scaler.get_scale():g}; set TRAIN.MIXED_PRECISION_DTYPE bf16 or TRAIN.MIXED_PRECISION False, or "
            f"lower SOLVER.BASE_LR"
        )


def count_replaced(batch: Batch, num_before: int, *, num_videos: int, max_share: float) -> int:
    """Name the unreadable, the truncated and the scaled videos of a batch, and return how many are unreadable.

    Args:
        batch: a training batch.
        num_before: replaced earlier in this epoch on this process.
        num_videos: of this epoch on this process.
        max_share: of them that may be replaced (DATA_LOADER.MAX_REPLACED).

    Raises:
        UserError: if there are too many, or one could not be replaced.
    """
    for video in batch.truncated:
        logger.warning("%s is truncated and was used up to there: %s", video.path, video.cause)
    for video in batch.resized:
        logger.warning("%s: %s", video.path, video.cause)
    for failure in batch.replaced:
        logger.warning("%s could not be read and was replaced: %s", failure.path, failure.cause)
    if batch.failed:
        failure = batch.failed[0]
        raise UserError(
            f"{failure.path} could not be read ({failure.cause}), nor could the videos drawn in its place; "
            f"check DATA.PATH_PREFIX and the list"
        )
    count = len(batch.replaced)
    if count and num_before + count > max_share * num_videos:
        failure = batch.replaced[-1]
        raise UserError(
            f"{num_before + count} of an epoch's {num_videos} videos could not be read, more than the share of "
            f"DATA_LOADER.MAX_REPLACED {max_share:g}; the last is {failure.path}: {failure.cause}"
        )
    return count
