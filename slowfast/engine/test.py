"""Testing: a checkpoint, all views of the test list, a report."""

import logging
import time
from dataclasses import replace
from pathlib import Path

import torch
from fvcore.common.config import CfgNode

from slowfast.datasets import build_class_names, build_dataset, build_loader
from slowfast.datasets.catalog import (
    DATASET_REGISTRY,
    build_dense_sampler,
    build_sparse_sampler,
)
from slowfast.datasets.clip_dataset import EvalClipDataset
from slowfast.engine.checkpoint import CheckpointFolder
from slowfast.engine.output_dir import output_locked, start_output
from slowfast.engine.reporting import fitted_temperature, report_on, run_of
from slowfast.engine.resumed_test import find_kept_scores
from slowfast.engine.run_summary import log_repeats, log_workers
from slowfast.engine.scoring import Scorer
from slowfast.engine.trained_model import load_trained_model
from slowfast.errors import UserError
from slowfast.evaluation.probes.probe_report import describe_probes
from slowfast.evaluation.probes.temporal_probes import orders_of_probes
from slowfast.evaluation.published import compare, find_published
from slowfast.evaluation.report import TestReport, TestSetting, log_videos
from slowfast.evaluation.report_files import ScoredVideos, write_report
from slowfast.evaluation.score_dump import write_dump
from slowfast.models.weights.report import WeightsReport
from slowfast.runtime import distributed
from slowfast.runtime.interruption import stop_held_back

logger = logging.getLogger(__name__)


class IncompleteTest(UserError):
    """A test is done and its report written, but some of its videos have no scores."""


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


def _setting_of(cfg: CfgNode, scorer: Scorer, dataset: EvalClipDataset, weights: WeightsReport) -> TestSetting:
    """What is tested and how, for the report."""
    entry = DATASET_REGISTRY.find("TEST.DATASET", cfg.TEST.DATASET)
    sampling = {build_dense_sampler: f"stride {cfg.DATA.SAMPLING_RATE}", build_sparse_sampler: "sparse"}
    kind = "probabilities" if scorer.has_probabilities else "scores"
    return TestSetting(
        checkpoint=weights.source,
        data_set=cfg.TEST.DATASET,
        class_names=cfg.DATA.CLASS_NAMES_FILE,
        reads="folders of frames" if entry.reads_folders else "videos",
        frames=cfg.DATA.NUM_FRAMES,
        sampling=sampling.get(entry.build_sampler, "of its own"),
        size_px=dataset.transform.size,
        clips=dataset.num_temporal_views,
        crops=len(dataset.transform.spatial_idxs),
        channel_order=dataset.channel_order,
        combined=f"{scorer.method} of {kind}",
        precision=str(scorer.autocast_dtype or torch.float32).removeprefix("torch."),
        class_order="" if weights.head is None else weights.head.note,
        is_order_assumed=weights.head is not None and weights.head.is_warning,
    )


def _log_comparison(report: TestReport, folder: Path) -> None:
    """The published figure beside the test's, if the checkpoint has the name of a published one; and where all is."""
    if published := find_published(report.setting.checkpoint):
        logger.info("%s", published.unlike(report.setting) or compare(report, published))
    logger.info("report: %s, scores of every video: %s", folder / "report.json", folder / "predictions.csv")


def test(cfg: CfgNode, device: torch.device, dump: Path | None = None) -> None:
    """Test a checkpoint on all views of the test list and write the report to ``OUTPUT_DIR``/test.

    Args:
        cfg: the whole config.
        device: of this process.
        dump: one more file for the scores, see ``write_dump``.

    Raises:
        UserError: for a bad list, checkpoint or folder, or if another test is writing there; and, once the report is
            written, if a video could not be read or scored.
    """
    folder = Path(cfg.OUTPUT_DIR, "test")
    with output_locked(folder):
        report = _test_into(folder, cfg, device, dump)
    if report is not None:
        _refuse_incomplete(report, folder)


def _test_into(folder: Path, cfg: CfgNode, device: torch.device, dump: Path | None) -> TestReport | None:
    """Score and write; returns the report on rank 0, None elsewhere."""
    dataset = build_dataset(cfg, "test")
    # One process looks: what several see on a shared file system may differ for a while.
    path = distributed.from_main(_checkpoint_to_test(cfg) if distributed.is_main() else "")
    model, weights_report = load_trained_model(cfg, path, device)
    orders = orders_of_probes(cfg.TEST.PROBES, cfg.DATA.NUM_FRAMES)
    scorer = replace(Scorer.from_config(cfg, device), orders=orders)
    resumption = find_kept_scores(cfg, folder, model, dataset, scorer=scorer, source=path)
    start_output(cfg, folder)
    weights_report.log()
    logger.info(
        "testing %s on %d videos, %d temporal x %d spatial views each",
        path,
        len(dataset),
        dataset.num_temporal_views,
        len(dataset.transform.spatial_idxs),
    )
    if not cfg.TRAIN.ENABLE:  # else training has said it
        log_repeats({"test": dataset.records})
        log_workers(cfg)
    setting = _setting_of(cfg, scorer, dataset, weights_report)
    temperature = fitted_temperature(cfg, scorer, model, dataset.records) if cfg.TEST.FIT_TEMPERATURE else None
    with resumption.keeping(dataset) as kept:
        num_left = len(dataset) - sum(distributed.gather_everywhere(kept.num_videos))
        started = time.perf_counter()
        result = scorer.score_loader(model, build_loader(cfg, dataset), kept)
        report = None
        if result is not None:
            seconds = time.perf_counter() - started
            report, videos = report_on(result, dataset, scorer, build_class_names(cfg), temperature)
            made_of = run_of(resumption.heading["scored"], dataset.records, seconds=seconds, num_scored=num_left)
            report = replace(report, setting=setting, run=made_of)
            _write(report, videos, folder=folder, scores=cfg.TEST.SCORES, dump=dump)
        distributed.barrier()  # until the report is written, the scores of all processes stay
        kept.remove()
    return report


def _write(report: TestReport, videos: ScoredVideos, *, folder: Path, scores: str, dump: Path | None) -> None:
    """Write the report and say what is in it."""
    try:
        with stop_held_back():
            write_report(folder, report, videos, scores=scores)
            if dump is not None:
                write_dump(dump, videos)
    finally:  # what took hours is told even where it cannot be written
        log_videos(report, logging.ERROR)
        for line in describe_probes(report.probes, report.scored) if report.probes else ():
            logger.info("%s", line)
        logger.info("%s", report.summary())
    _log_comparison(report, folder)


def _refuse_incomplete(report: TestReport, folder: Path) -> None:
    """Let a test fail that has not scored every video of its list.

    Raises:
        IncompleteTest: with the counts and what to do.
    """
    lacking, remedy = [], ""
    if report.failed:
        lacking.append(f"{report.failed} of {report.expected} test videos could not be read")
    if report.unscored:
        lacking.append(f"{report.unscored} of {report.expected} test videos have scores that are not finite")
        remedy = (
            "; the weights are damaged or of a training that diverged, or their numbers are too large for "
            "TRAIN.MIXED_PRECISION_DTYPE (then TEST.MIXED_PRECISION False scores them)"
        )
    if lacking:
        raise IncompleteTest(
            f"{' and '.join(lacking)} (named in {folder / 'report.json'}); the accuracy is over the {report.scored} "
            f"others{remedy}"
        )


test.__test__ = False  # not a test case, whatever its name says to pytest
