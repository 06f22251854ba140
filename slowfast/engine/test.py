"""One loop for validation and multi-view testing."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torch.utils.data import DataLoader

from slowfast.datasets import build_class_names, build_dataset, build_loader
from slowfast.datasets.clip_dataset import EvalClipDataset
from slowfast.datasets.collate import label_tensor
from slowfast.datasets.records import FailedVideo
from slowfast.datasets.transforms.functional import normalize
from slowfast.engine.checkpoint import CheckpointFolder, head_rules
from slowfast.engine.output_dir import start_output
from slowfast.errors import UserError
from slowfast.evaluation.report import TestReport, make_report, write_report
from slowfast.evaluation.views import combine_views
from slowfast.models import build_model
from slowfast.models.weights.load import load_source
from slowfast.runtime import distributed
from slowfast.runtime.interruption import Interrupted, stop_signal
from slowfast.runtime.log import progress
from slowfast.runtime.precision import autocast, autocast_dtype

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """Scores of all videos, on rank 0, in the order of the list.

    Attributes:
        video_idx: int64 (n,), rows of the list that were scored.
        scores: float32 (n, K).
        failed: the other videos.
    """

    video_idx: Tensor
    scores: Tensor
    failed: list[FailedVideo]


def evaluate(cfg: CfgNode, model: nn.Module, loader: DataLoader, device: torch.device) -> Evaluation | None:
    """Score every video of the loader once.

    Args:
        cfg: DATA.MEAN, DATA.STD, DATA.ENSEMBLE_METHOD and TEST.* are read.
        model: the bare model; set to evaluation mode here and back afterwards.
        loader: of an EvalClipDataset; this process's share.
        device: of the model.

    Returns:
        The scores of all processes on rank 0, None elsewhere.

    Raises:
        Interrupted: if a process has been asked to stop.
    """
    num_views = loader.dataset.num_views
    views_per_pass = max(cfg.TEST.BATCH_SIZE // distributed.processes_per_node(cfg.NUM_GPUS), 1)
    mean, std = (torch.tensor(values, device=device) for values in (cfg.DATA.MEAN, cfg.DATA.STD))
    dtype = autocast_dtype(cfg.TRAIN.MIXED_PRECISION_DTYPE, device) if cfg.TEST.MIXED_PRECISION else None
    video_idx, scores, failed = [], [], []
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for batch in progress(loader, "evaluating", len(loader)):
            if stop_signal() is not None:
                break
            failed += batch.failed
            if len(batch.labels) == 0:
                continue
            logits = []
            for clips in batch.clips.split(views_per_pass):
                clips = normalize(clips.to(device, non_blocking=True), mean, std)
                with autocast(device, dtype):
                    logits.append(model(clips))
            video_scores = combine_views(
                torch.cat(logits),
                num_views,
                has_probabilities=cfg.TEST.ADD_SOFTMAX,
                method=cfg.DATA.ENSEMBLE_METHOD,
                is_multi_label=cfg.DATA.MULTI_LABEL,
            )
            video_idx.append(batch.video_idx)
            scores.append(video_scores.cpu())
    model.train(was_training)
    # All stop, or none: one that left alone would keep the others waiting for its scores.
    if any(distributed.gather_everywhere(stop_signal() is not None)):
        raise Interrupted("a signal to another process" if stop_signal() is None else stop_signal().name)
    empty = torch.empty(0, dtype=torch.int64), torch.empty(0, cfg.MODEL.NUM_CLASSES)
    own = (torch.cat([empty[0], *video_idx]), torch.cat([empty[1], *scores]), failed)
    return _merge(distributed.gather_objects(own), len(loader.dataset))


def _merge(shares: list[tuple[Tensor, Tensor, list[FailedVideo]]], num_videos: int) -> Evaluation | None:
    """Put the processes' shares together; every video must occur exactly once."""
    if not shares:
        return None
    video_idx = torch.cat([share[0] for share in shares])
    order = video_idx.argsort()
    failed = sorted(failure for share in shares for failure in share[2])
    seen = sorted(video_idx.tolist() + [failure.video_idx for failure in failed])
    assert seen == list(range(num_videos)), "a video was scored twice or not at all"
    return Evaluation(video_idx[order], torch.cat([share[1] for share in shares])[order], failed)


def report_on(evaluation: Evaluation, dataset: EvalClipDataset) -> tuple[TestReport, list[str], Tensor]:
    """The report, and the paths and labels of the scored videos."""
    records = [dataset.records[idx] for idx in evaluation.video_idx.tolist()]
    is_multi_label = isinstance(dataset.records[0].label, tuple)
    labels = label_tensor([record.label for record in records], evaluation.scores.shape[1] if is_multi_label else None)
    failures = [(failure.path, failure.cause) for failure in evaluation.failed]
    report = make_report(evaluation.scores, labels, len(dataset), failures)
    return report, [record.path for record in records], labels


def _checkpoint_to_test(cfg: CfgNode) -> str:
    """The file or address that a test reads: the named one, else the run's best or latest."""
    if cfg.TEST.CHECKPOINT_FILE_PATH:
        return cfg.TEST.CHECKPOINT_FILE_PATH
    folder = CheckpointFolder(Path(cfg.OUTPUT_DIR))
    path = (folder.best() if cfg.TEST.TEST_BEST else None) or folder.newest()
    if path is not None:
        return str(path)
    if cfg.TRAIN.CHECKPOINT_FILE_PATH:
        return cfg.TRAIN.CHECKPOINT_FILE_PATH
    raise UserError(f"nothing to test: {folder.folder} has no checkpoint; train first or set TEST.CHECKPOINT_FILE_PATH")


def test(cfg: CfgNode, device: torch.device) -> None:
    """Test a checkpoint on all views of the test list and write the report to ``OUTPUT_DIR``/test.

    Raises:
        UserError: for a bad list, checkpoint or folder; and, once the report is written, if a video could not be read.
    """
    dataset = build_dataset(cfg, "test")
    # One process looks: what several see on a shared file system may differ for a while.
    path = distributed.from_main(_checkpoint_to_test(cfg) if distributed.is_main() else "")
    model = build_model(cfg)
    rules = head_rules(cfg, build_class_names(cfg), is_test=True)
    weights_report = load_source(model, path, rules, is_average=cfg.TEST.USE_EMA)
    folder = Path(cfg.OUTPUT_DIR, "test")
    start_output(cfg, folder)
    weights_report.log()
    logger.info(
        "testing %s on %d videos, %d temporal x %d spatial views each",
        path,
        len(dataset),
        dataset.num_temporal_views,
        len(dataset.transform.spatial_idxs),
    )
    evaluation = evaluate(cfg, model.to(device), build_loader(cfg, dataset), device)
    if evaluation is None:
        return
    report, paths, labels = report_on(evaluation, dataset)
    write_report(folder, report, paths, labels, evaluation.scores)
    for path, cause in report.failures:
        logger.error("%s could not be read: %s", path, cause)
    logger.info("%s", report.summary())
    logger.info("report: %s, scores of every video: %s", folder / "report.json", folder / "predictions.csv")
    if report.failed:
        raise UserError(
            f"{report.failed} of {report.expected} test videos could not be read (named in {folder / 'report.json'}); "
            f"the accuracy is over the {report.scored} others"
        )


test.__test__ = False  # not a test case, whatever its name says to pytest
