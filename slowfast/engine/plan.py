"""What a run is going to do, in the figures that people get wrong."""

import logging

from slowfast.engine.recipe_range import recipe_warning
from slowfast.engine.train_run import TrainRun
from slowfast.runtime import distributed

logger = logging.getLogger(__name__)


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
        "%d epochs of %d steps; effective learning rate %g%s, from %g in warm-up%s",
        cfg.SOLVER.MAX_EPOCH,
        run.steps_per_epoch,
        schedule.base_lr,
        f" (SOLVER.BASE_LR x {cfg.NUM_SHARDS} nodes)" if schedule.base_lr != cfg.SOLVER.BASE_LR else "",
        schedule.warmup_start_lr,
        f" to {schedule.end_lr:g} at the end" if schedule.policy == "cosine" else "",
    )
    warning = recipe_warning(cfg, lr=schedule.base_lr, num_videos=run.videos_per_step)
    if warning is not None:
        logger.warning("%s", warning)
