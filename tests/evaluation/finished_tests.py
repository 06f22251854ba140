"""Finished tests without a model: made-up scores, written as a test writes them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from slowfast.evaluation.list_hash import unordered_hash
from slowfast.evaluation.report import TestRun, TestSetting, make_report
from slowfast.evaluation.report_files import ScoredVideos, write_report
from slowfast.evaluation.views import to_probabilities

SETTING = TestSetting(
    checkpoint="runs/a/checkpoint_best.pyth",
    data_set="kinetics",
    class_names="names.txt",
    reads="videos",
    frames=8,
    sampling="sparse",
    size_px=224,
    clips=4,
    crops=3,
    channel_order="rgb",
    combined="sum of probabilities",
    precision="float32",
    class_order="",
    is_order_assumed=False,
)
RUN = TestRun(
    seconds=2.0,
    videos_per_s=3.0,
    weights_sha256="1" * 64,
    list_sha256="",
    config_sha256="2" * 64,
    git_commit="abc",
    versions={"torch": "2.8"},
)


def made_up(
    seed: int, number: int, num_classes: int, accuracy: float, *, is_raw: bool = False
) -> tuple[Tensor, Tensor]:
    """Scores (n, K), probabilities unless ``is_raw``, and labels (n,); about so many of them are right."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(number) % num_classes
    scores = torch.randn(number, num_classes, generator=rng)
    is_right = torch.rand(number, generator=rng) < accuracy
    scores[is_right, labels[is_right]] += 6
    return scores if is_raw else scores.softmax(dim=1), labels


def write_test(
    folder: Path,
    scores: Tensor,
    labels: Tensor,
    *,
    paths: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    failures: Sequence[tuple[str, str]] = (),
    unscored: Sequence[tuple[str, str]] = (),
    kept: str = "npz",
    run: dict[str, object] | None = None,
    **setting: object,
) -> Path:
    """Write a finished test into ``folder``/test, and return the folder; videos without scores count as of class 0."""
    told = replace(SETTING, **setting)
    paths = [f"{row:05d}.mp4" for row in range(len(labels))] if paths is None else paths
    method, _, kind = told.combined.partition(" of ")
    probabilities = to_probabilities(
        scores, has_probabilities=kind == "probabilities", method=method, is_multi_label=labels.ndim == 2
    )
    report = make_report(
        scores,
        labels,
        len(labels) + len(failures) + len(unscored),
        failures,
        unscored_videos=unscored,
        class_names=names,
        probabilities=probabilities,
    )
    rows = [*zip(paths, labels.tolist(), strict=True), *((path, 0) for path, _ in [*failures, *unscored])]
    made_of = replace(RUN, list_sha256=unordered_hash(rows), **(run or {}))
    videos = ScoredVideos(paths, labels, scores, probabilities.values, names)
    write_report(folder / "test", replace(report, setting=told, run=made_of), videos, scores=kept)
    return folder
