"""What a run is going to do, in the figures that people get wrong, and a warning where they differ from published ones.

What is compared is the learning rate per video, the peak learning rate divided by the videos of a step: the UniFormer
recipes scale the one with the other (1e-4 for 32 videos, 4e-4 for 128), and the UniFormerV2 recipes were published for
batches of 64 to 512 videos. A slip (a default left in place, a batch for one GPU with the learning rate of 32) is
usually off by more than the recipes of a model differ from each other.
"""

import logging
from collections.abc import Mapping, Sequence

from fvcore.common.config import CfgNode

from slowfast.config.sections import recipe_range
from slowfast.datasets.clip_loader import Workers
from slowfast.datasets.lists.repeated_videos import describe_repeats
from slowfast.datasets.records import VideoRecord
from slowfast.engine.class_balance import log_classes
from slowfast.engine.train_run import TrainRun
from slowfast.runtime import distributed
from slowfast.runtime.processes import num_cores
from slowfast.solver.schedule import LearningRateSchedule

logger = logging.getLogger(__name__)


# How far beyond the range still passes.
MARGIN = 2.0


def log_plan(run: TrainRun) -> None:
    """Log model, data, effective batch and learning rate; warn of a learning rate far from the published recipes'."""
    cfg, schedule = run.cfg, run.schedule
    num_parameters = sum(p.numel() for p in run.model.parameters())
    num_trained = sum(p.numel() for p in run.model.parameters() if p.requires_grad)
    logger.info(
        "%s: %.2f M parameters, %.2f M of them trained, %d classes, %d frames of %d px, device %s, %s",
        cfg.MODEL.MODEL_NAME,
        num_parameters / 1e6,
        num_trained / 1e6,
        cfg.MODEL.NUM_CLASSES,
        cfg.DATA.NUM_FRAMES,
        cfg.DATA.TRAIN_CROP_SIZE,
        run.device,
        "float32" if run.autocast_dtype is None else f"{str(run.autocast_dtype).removeprefix('torch.')} autocast",
    )
    num_repeats = run.train_loader.dataset.num_repeats
    logger.info(
        "%d training videos, %d validation videos; effective batch of %d clips: %d videos on each of %d nodes x %d "
        "accumulated x %d clips of each video; %d processes",
        len(run.train_loader.dataset),
        len(run.val_loader.dataset),
        run.videos_per_step * num_repeats,
        run.videos_per_step // (cfg.NUM_SHARDS * cfg.SOLVER.ACCUM_STEPS),
        cfg.NUM_SHARDS,
        cfg.SOLVER.ACCUM_STEPS,
        num_repeats,
        distributed.world_size(),
    )
    logger.info(
        "%d epochs of %d steps; effective learning rate %g%s%s",
        cfg.SOLVER.MAX_EPOCH,
        run.steps_per_epoch,
        schedule.base_lr,
        f" (SOLVER.BASE_LR x {cfg.NUM_SHARDS} nodes)" if schedule.base_lr != cfg.SOLVER.BASE_LR else "",
        course_of(schedule),
    )
    log_patience(cfg)
    sampler = run.train_loader.sampler
    log_classes(cfg, run.train_loader.dataset, sampler, run.class_names)
    num_left_out = sampler.num_videos - sampler.num_used
    if num_left_out and sampler.balance is None:
        logger.info(
            "each epoch leaves out %d of %d training videos, others every time: they do not fill a step of %d",
            *(num_left_out, sampler.num_videos, sampler.videos_per_step),
        )
    log_workers(cfg)
    warning = recipe_warning(cfg, lr=schedule.base_lr, num_videos=run.videos_per_step)
    if warning is not None:
        logger.warning("%s", warning)


def log_patience(cfg: CfgNode) -> None:
    """Say when a training may end early, and warn if it never can."""
    patience, period = cfg.SOLVER.PATIENCE, cfg.TRAIN.EVAL_PERIOD
    if not patience:
        return
    # The first validation is the best so far, always.
    earliest = (patience + 1) * period
    if earliest >= cfg.SOLVER.MAX_EPOCH:
        logger.warning(
            "SOLVER.PATIENCE %d never ends this training early: with TRAIN.EVAL_PERIOD %d it could after epoch %d, and "
            "SOLVER.MAX_EPOCH is %d; lower PATIENCE or EVAL_PERIOD",
            *(patience, period, earliest, cfg.SOLVER.MAX_EPOCH),
        )
        return
    logger.info(
        "training ends early, after epoch %d or later, once %d validations in a row bring no new best accuracy "
        "(SOLVER.PATIENCE)",
        *(earliest, patience),
    )


def log_early_end(run: TrainRun) -> None:
    """Say that, and why, a training ends, or is not taken up again, before ``SOLVER.MAX_EPOCH``."""
    logger.info(
        "training ends after %d of %d epochs: %d validations in a row were not above the best accuracy, %.2f %% "
        "(SOLVER.PATIENCE %d); a larger PATIENCE or SOLVER.MAX_EPOCH trains on",
        *(run.progress.num_epochs, run.cfg.SOLVER.MAX_EPOCH, run.progress.num_without_best, run.progress.best_accuracy),
        run.cfg.SOLVER.PATIENCE,
    )


def log_repeats(lists: Mapping[str, Sequence[VideoRecord]]) -> None:
    """Warn of videos that a list names twice, and of those of ``train`` that are validated or tested on.

    Args:
        lists: split to its rows.
    """
    if distributed.is_main():
        for line in describe_repeats(lists):
            logger.warning("%s", line)


def log_workers(cfg: CfgNode) -> None:
    """Say so if fewer processes load than the config asks for."""
    num_asked, num_started = cfg.DATA_LOADER.NUM_WORKERS, Workers.from_config(cfg).num
    if num_started < num_asked:
        logger.info(
            "%d loading processes in place of DATA_LOADER.NUM_WORKERS %d: this process has %d cores",
            *(num_started, num_asked, num_cores()),
        )


def course_of(schedule: LearningRateSchedule) -> str:
    """What the learning rate does beside its peak: where warm-up starts, if there is one, and where a cosine ends."""
    begin = f"from {schedule.warmup_start_lr:g} in warm-up" if schedule.warmup_epochs > 0 else ""
    # Warm-up alone ends at the peak.
    end = f"to {schedule(schedule.max_epoch):g} at the end" if schedule.policy == "cosine" else ""
    told = " ".join(filter(None, (begin, end)))
    return f", {told}" if told else ""


def recipe_warning(cfg: CfgNode, *, lr: float, num_videos: int) -> str | None:
    """Compare a run with the published recipes of its model.

    Args:
        cfg: the model and ``SOLVER.OPTIMIZING_METHOD`` are read.
        lr: effective peak learning rate, after scaling by the nodes.
        num_videos: videos of a step, over all nodes and accumulated batches.

    Returns:
        One line that names what is set, the published range and how to mend it; None inside the range, up to a factor
        of ``MARGIN``, and for models without a recipe.
    """
    published = recipe_range(cfg)
    if published is None:
        return None
    if cfg.SOLVER.OPTIMIZING_METHOD == "sgd":
        return (
            f"SOLVER.OPTIMIZING_METHOD is sgd, whose learning rates compare with no published recipe of "
            f"{published.model}, which all have adamw; set it to adamw unless you mean it"
        )
    if published.low / MARGIN <= lr / num_videos <= published.high * MARGIN:
        return None
    per_base = lr / cfg.SOLVER.BASE_LR if cfg.SOLVER.BASE_LR else 1.0  # nodes, with BASE_LR_SCALE_NUM_SHARDS
    low, high = (bound * num_videos / per_base for bound in (published.low, published.high))
    return (
        f"learning rate {lr:.3g} for {num_videos} videos per step is {lr / num_videos:.2g} per video, outside the "
        f"{published.low:.2g} to {published.high:.2g} of the published recipes of {published.model}; for this batch "
        f"they mean SOLVER.BASE_LR {low:.2g} to {high:.2g}"
    )
