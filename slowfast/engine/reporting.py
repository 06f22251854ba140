"""From scores to a report, for tests and validations alike."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from fvcore.common.config import CfgNode
from torch import nn

from slowfast.datasets import build_loader
from slowfast.datasets.build import build_eval_lists, build_list
from slowfast.datasets.clip_dataset import EvalClipDataset
from slowfast.datasets.collate import label_tensor
from slowfast.datasets.lists.repeated_videos import shared_path
from slowfast.datasets.records import VideoRecord
from slowfast.engine.scoring import Scorer
from slowfast.engine.video_scores import VideoScores
from slowfast.errors import UserError
from slowfast.evaluation.calibration import fit_temperature
from slowfast.evaluation.classes import confusion_matrix
from slowfast.evaluation.list_hash import unordered_hash
from slowfast.evaluation.probes.probe_report import report_probes
from slowfast.evaluation.report import TestReport, TestRun, make_report
from slowfast.evaluation.report_files import ScoredVideos
from slowfast.runtime.reproduce import git_commit, versions
from slowfast.visualization.confusion import draw_confusion

logger = logging.getLogger(__name__)

# What has a hash of its own, and how many videos and processes share the work.
_NO_PART_OF_A_TEST = {"weights", "list", "videos", "processes", "TEST.BATCH_SIZE"}


def report_on(
    result: VideoScores,
    dataset: EvalClipDataset,
    scorer: Scorer,
    class_names: Sequence[str] | None,
    temperature: float | None = None,
) -> tuple[TestReport, ScoredVideos]:
    """The report, and the scored videos one by one.

    Args:
        result: of all videos of the data set.
        dataset: that was scored.
        scorer: that scored it.
        class_names: in the order of the labels; None if nobody knows them.
        temperature: of the probabilities, fitted on another list; None leaves it out.
    """
    records = [dataset.records[idx] for idx in result.video_idx.tolist()]
    is_multi_label = isinstance(dataset.records[0].label, tuple)
    labels = label_tensor([record.label for record in records], result.scores.shape[1] if is_multi_label else None)
    probabilities = scorer.probabilities(result.scores)
    report = make_report(
        result.scores,
        labels,
        len(dataset),
        result.failures,
        [(video.path, video.cause) for video in result.truncated],
        [(video.path, video.cause) for video in result.unscored],
        class_names=class_names,
        probabilities=probabilities,
        temperature=temperature,
    )
    if result.probes:
        report = replace(report, probes=report_probes(result.scores, result.probes, labels, scorer.orders))
    paths = [record.path for record in records]
    return report, ScoredVideos(paths, labels, result.scores, probabilities.values, class_names)


def class_figures(report: TestReport, videos: ScoredVideos) -> tuple[dict[str, float], np.ndarray | None]:
    """What ``MetricsWriter.write_classes`` takes: accuracies by class, and a picture of the confusion."""
    accuracy = {row.name: row.accuracy for row in report.classes if row.accuracy is not None}
    if videos.labels.ndim == 2 or not len(videos.labels):
        return accuracy, None
    matrix = confusion_matrix(videos.scores.argmax(dim=1), videos.labels, videos.scores.shape[1])
    return accuracy, draw_confusion(matrix, [row.name for row in report.classes])


def run_of(scored: Mapping[str, Any], records: Sequence[VideoRecord], *, seconds: float, num_scored: int) -> TestRun:
    """What a test was made of, and how long it took.

    Args:
        scored: see ``resumed_test.what_is_scored``.
        records: of the list.
        seconds: of its last part, if it was cut off.
        num_scored: videos in that time.
    """
    keys = {name: value for name, value in scored.items() if name not in _NO_PART_OF_A_TEST}
    return TestRun(
        seconds=seconds,
        videos_per_s=num_scored / seconds,
        weights_sha256=scored["weights"],
        list_sha256=unordered_hash(records),
        config_sha256=hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest(),
        git_commit=git_commit(),
        versions=versions(),
    )


def fitted_temperature(
    cfg: CfgNode, scorer: Scorer, model: nn.Module, test_records: Sequence[VideoRecord]
) -> float | None:
    """The temperature that suits the validation list, scored on the views of a test; all processes call this.

    Returns:
        None on ranks other than 0, and where no video of that list could be scored.

    Raises:
        UserError: if a video is on both lists: the temperature would be fitted on what it is judged by.
    """
    dataset = build_eval_lists(cfg, [build_list(cfg, "val")])
    if shared := shared_path(dataset.records, test_records):
        raise UserError(
            f"TEST.FIT_TEMPERATURE True fits on the validation list, which shares {shared} with the test list; it "
            f"takes lists without a common video (where a data set is tested on its validation list, as Kinetics, "
            f"there are none)"
        )
    result = scorer.score_loader(model, build_loader(cfg, dataset))
    if result is None:
        return None
    report, videos = report_on(result, dataset, scorer, None)
    logger.info("TEST.FIT_TEMPERATURE: the validation list has %s", report.summary())
    return fit_temperature(videos.probabilities, videos.labels) if len(videos.labels) else None
