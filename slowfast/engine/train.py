"""Training: one loop over epochs and one over steps."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.datasets.records import VideoRecord
from slowfast.engine.build import build_run
from slowfast.engine.output_dir import output_locked
from slowfast.engine.precise_bn import update_bn_stats
from slowfast.engine.rank_agreement import Agreement, StepFlags
from slowfast.engine.reporting import class_figures, report_on
from slowfast.engine.resume import restore_state
from slowfast.engine.run_summary import log_early_end, log_plan, log_repeats
from slowfast.engine.step import StoppedBetweenSteps, refuse_divergence, refuse_lost_scale, take_step
from slowfast.engine.step_meter import StepMeter
from slowfast.engine.train_run import Progress, TrainRun
from slowfast.evaluation.report import log_videos
from slowfast.runtime import distributed
from slowfast.runtime.interruption import Interrupted, stop_held_back, stop_signal
from slowfast.runtime.log import progress
from slowfast.runtime.memory import resident_bytes
from slowfast.runtime.precision import autocast
from slowfast.runtime.reproduce import random_states, restore_random_states, seed_process
from slowfast.solver.optimizer import set_learning_rate

logger = logging.getLogger(__name__)

# Means over classes of a validation; each is there for one label per video or for several.
_MEANS = ("mean_average_precision", "mean_class_accuracy", "macro_f1")


def train(cfg: CfgNode, device: torch.device, test_records: Sequence[VideoRecord] | None = None) -> None:
    """Train to ``SOLVER.MAX_EPOCH``, or less far by ``SOLVER.PATIENCE``, from the newest checkpoint of ``OUTPUT_DIR``.

    Args:
        cfg: the whole config.
        device: of this process.
        test_records: what is tested afterwards; a warning names videos that are trained on, too.

    Raises:
        UserError: for bad lists, weights or checkpoints, before anything is written; and if another run is writing to
            ``OUTPUT_DIR``, or it cannot be written to.
        Interrupted: once a checkpoint is saved, if a process has been asked to stop.
    """
    with output_locked(Path(cfg.OUTPUT_DIR)) as check_lock:
        run = build_run(cfg, device)
        run.checkpoints.before_save = check_lock
        with run.metrics:
            log_plan(run)
            lists = {"train": run.train_loader.dataset.records, "val": run.val_loader.dataset.records}
            log_repeats(lists if test_records is None else {**lists, "test": test_records})
            if run.ends_early:
                log_early_end(run)
            while not run.is_finished:
                train_epoch(run)
                finish_epoch(run)
        distributed.barrier()


def train_epoch(run: TrainRun) -> None:
    """Take the steps that are left of an epoch; logs every ``LOG_PERIOD`` steps.

    Where the run stands with all steps done is saved if a validation is to follow.

    Raises:
        UserError: if a loss is not finite, or more videos than ``DATA_LOADER.MAX_REPLACED`` could not be read.
        Interrupted: once a checkpoint is saved, if a process has been asked to stop.
    """
    cfg, epoch, num_steps, num_done = run.cfg, run.progress.num_epochs, run.steps_per_epoch, run.progress.num_steps
    meter, flags = _start_epoch(run), StepFlags(run.device)
    if num_done == num_steps:  # interrupted before or during the validation
        return
    accum = cfg.SOLVER.ACCUM_STEPS
    bar = progress(run.train_loader, f"epoch {epoch + 1}", num_steps * accum, initial=num_done * accum)
    for step_idx in range(num_done, num_steps):
        lr = run.schedule(epoch + step_idx / num_steps)
        set_learning_rate(run.optimizer, lr)
        try:
            result = take_step(run, bar, epoch, step_idx, meter.num_replaced)
        except StoppedBetweenSteps:
            _save_before_stop(run, meter, flags)
            raise
        meter.add(result)
        run.progress = replace(run.progress, num_steps=step_idx + 1, rank_state=None)
        # Rank 0's clock counts; it is the one that writes.
        is_save_due = distributed.is_main() and run.checkpoints.is_due(cfg.TRAIN.CHECKPOINT_SECONDS)
        asked = flags.exchange(result, is_save_due=is_save_due, is_stop_asked=stop_signal() is not None)
        if asked.has_diverged:
            refuse_divergence(run, epoch, asked.result)
        if (step_idx + 1) % cfg.LOG_PERIOD == 0 or step_idx + 1 == num_steps:
            _log_steps(run, meter, lr)
            meter.reset()
        if step_idx + 1 == num_steps or asked.is_checkpoint_wanted:
            _save_between_steps(run, meter, flags.settle())
    bar.close()


def _start_epoch(run: TrainRun) -> StepMeter:
    """Set samples, random generators and running averages to where the run stands."""
    epoch, num_steps = run.progress.num_epochs, run.progress.num_steps
    run.train_loader.sampler.set_epoch(epoch, num_steps_done=num_steps)
    meter = StepMeter(run.device)
    if run.progress.rank_state is None:
        # Seeding each epoch by itself makes a resumed run draw what an uninterrupted one draws.
        seed_process(run.cfg.RNG_SEED, epoch, distributed.rank())
    else:
        _load_rank_state(run, meter, run.progress.rank_state)
    if run.ema is not None and epoch == run.cfg.MODEL.EMA_EPOCH and num_steps == 0:
        run.ema.load_state_dict(run.bare_model.state_dict())
    return meter


def _rank_state(run: TrainRun, meter: StepMeter) -> dict[str, Any]:
    """What this process needs to resume within an epoch."""
    return {"random": random_states(run.device), "meter": meter.state_dict()}


def _load_rank_state(run: TrainRun, meter: StepMeter, rank_state: dict[str, Any]) -> None:
    """The mirror image of ``_rank_state``."""

    def restore(state: dict[str, Any]) -> None:
        restore_random_states(state["random"], run.device)
        meter.load_state_dict(state["meter"])

    restore_state(restore, rank_state, run.resumed_from, "rank_states")


def _save_between_steps(run: TrainRun, meter: StepMeter, agreement: Agreement) -> None:
    """Save after a step that has not diverged, and stop if that is asked for.

    At the end of an epoch that is only needed before a validation, which may take long.
    """
    epoch = run.progress.num_epochs
    if agreement.has_diverged:
        refuse_divergence(run, epoch, agreement.result)
    is_end = run.progress.num_steps == run.steps_per_epoch
    if not is_end or agreement.is_stop_asked or is_validated(run.cfg, epoch):
        run.progress = replace(run.progress, rank_state=_rank_state(run, meter))
        save(run)
    if agreement.is_stop_asked:
        received = stop_signal()
        raise Interrupted("a signal to another process" if received is None else received.name)


def _save_before_stop(run: TrainRun, meter: StepMeter, flags: StepFlags) -> None:
    """Save after the last step that was taken, where no batch came for the next one.

    One process alone can: several save together, and the others may be in the middle of their step.
    """
    if distributed.is_distributed() or not flags.is_under_way:  # nothing new
        return
    agreement = flags.settle()
    if agreement.has_diverged:
        refuse_divergence(run, run.progress.num_epochs, agreement.result)
    run.progress = replace(run.progress, rank_state=_rank_state(run, meter))
    save(run)


def is_validated(cfg: CfgNode, epoch: int) -> bool:
    """Whether a validation follows an epoch."""
    return (epoch + 1) % cfg.TRAIN.EVAL_PERIOD == 0 or epoch + 1 == cfg.SOLVER.MAX_EPOCH


def finish_epoch(run: TrainRun) -> None:
    """Validate, if it is due, and save.

    Raises:
        Interrupted: if this process has been asked to stop; what was saved before the validation stands.
    """
    cfg, epoch, accuracy = run.cfg, run.progress.num_epochs, None
    if is_validated(cfg, epoch):
        if cfg.BN.USE_PRECISE_STATS:
            models = [run.bare_model] if not run.has_ema else [run.bare_model, run.ema.model]
            for model in models:
                with autocast(run.device, run.autocast_dtype):
                    update_bn_stats(model, training_clips(run, epoch), cfg.BN.NUM_BATCHES_PRECISE)
        accuracy = distributed.from_main(validate(run, epoch))  # all have to end in the same epoch
    num_epochs, best_accuracy = epoch + 1, run.progress.best_accuracy
    is_best = accuracy is not None and accuracy > best_accuracy
    num_without_best = 0 if is_best else run.progress.num_without_best + is_validated(cfg, epoch)
    run.progress = Progress(
        num_epochs, best_accuracy=accuracy if is_best else best_accuracy, num_without_best=num_without_best
    )
    is_epoch_kept = num_epochs % cfg.TRAIN.CHECKPOINT_PERIOD == 0 or run.is_finished
    save(run, is_epoch=is_epoch_kept, is_best=is_best)
    if run.ends_early:
        log_early_end(run)


def _log_steps(run: TrainRun, meter: StepMeter, lr: float) -> None:
    """Log the averages since the last line, and how long the steps that are left will take."""
    values, cfg = meter.averages(), run.cfg
    is_gpu = run.device.type == "cuda"
    memory = torch.cuda.max_memory_allocated(run.device) if is_gpu else resident_bytes()
    epoch, num_steps = run.progress.num_epochs, run.steps_per_epoch
    num_done = epoch * num_steps + run.progress.num_steps
    values |= {"epoch": epoch + 1, "lr": lr, "memory_gib": memory / 2**30}
    run.metrics.write("train", num_done, **values)
    refuse_lost_scale(run)
    eta_s = (cfg.SOLVER.MAX_EPOCH * num_steps - num_done) * values["step_time_s"]
    logger.info(
        "epoch %d/%d step %d/%d: loss %.4f, top-1 %.1f %%, gradient %.3g, lr %.3g, %.3f s per step (%.3f s waiting for "
        "data), %.1f clips/s, %.2f GiB, %s left%s",
        epoch + 1,
        cfg.SOLVER.MAX_EPOCH,
        run.progress.num_steps,
        num_steps,
        values["loss"],
        values["top1"],
        values["grad_norm"],
        lr,
        values["step_time_s"],
        values["data_time_s"],
        values["clips_per_s"],
        values["memory_gib"],
        timedelta(seconds=round(eta_s)),
        f", {values['num_replaced']} videos replaced" if values["num_replaced"] else "",
    )


def training_clips(run: TrainRun, epoch: int) -> Iterator[Tensor]:
    """The clips of an epoch's batches as the model takes them, float32 (N, C, T, H, W) on the device."""
    run.train_loader.sampler.set_epoch(epoch)
    for batch in run.train_loader:
        yield run.clips_of(batch.to(run.device))


def validate(run: TrainRun, epoch: int) -> float | None:
    """Accuracy in percent on the central view of the validation videos, after an epoch.

    It is top-1, and for videos of several labels the mean average precision; None on ranks other than 0, and where
    scores are not finite, as such weights are never the best. With an EMA of the weights, its accuracy is logged
    beside.
    """
    accuracy = _validate_model(run, run.bare_model, epoch, "val")
    if run.ema is not None and epoch >= run.cfg.MODEL.EMA_EPOCH:
        _validate_model(run, run.ema.model, epoch, "val_ema")
    return accuracy


def _validate_model(run: TrainRun, model: nn.Module, epoch: int, kind: str) -> float | None:
    start = time.perf_counter()
    # What is validated is what is saved: rank 0's.
    distributed.share_buffers(model)
    result = run.scorer.score_loader(model, run.val_loader)
    if result is None:
        return None
    report, videos = report_on(result, run.val_loader.dataset, run.scorer, run.class_names)
    log_videos(report, logging.WARNING)
    logger.info("validation%s: %s", " of the EMA" if kind == "val_ema" else "", report.summary())
    is_multi_label = report.mean_average_precision is not None
    run.metrics.write(
        kind,
        (epoch + 1) * run.steps_per_epoch,
        epoch=epoch + 1,
        top1=report.top1,
        top5=report.top5,
        time_s=time.perf_counter() - start,
        expected=report.expected,
        scored=report.scored,
        failed=report.failed,
        unscored=report.unscored,
        **{name: value for name in _MEANS if (value := getattr(report, name)) is not None},
    )
    if run.metrics.shows_classes:
        accuracy, confusion = class_figures(report, videos)
        run.metrics.write_classes(kind, (epoch + 1) * run.steps_per_epoch, accuracy, confusion)
    if report.unscored:
        logger.warning(
            "the scores of %d of %d validation videos are not finite: the weights%s after epoch %d are no use as they "
            "are, and not kept as the best ones",
            *(report.unscored, report.expected, " of the EMA" if kind == "val_ema" else "", epoch + 1),
        )
        return None
    return report.mean_average_precision if is_multi_label else report.top1


def save(run: TrainRun, *, is_epoch: bool = False, is_best: bool = False) -> None:
    """Write a checkpoint; every process calls this, rank 0 writes.

    Args:
        run: what is saved.
        is_epoch: keep the checkpoint under its epoch's name, too.
        is_best: and as the best one.
    """
    content = run.state_dict()
    if distributed.is_main():
        with stop_held_back():
            path = run.checkpoints.save(content, is_epoch=is_epoch, is_best=is_best)
        logger.info("saved %s", path)
