"""Scoring: videos in, one row of scores per video out. Validation, testing and whatever else scores videos use it."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torch.utils.data import DataLoader

from slowfast.datasets import build_eval_dataset
from slowfast.datasets.clip_dataset import EvalClipDataset
from slowfast.datasets.clip_loader import Workers, clip_loader
from slowfast.datasets.records import Batch, SampleKey, UnscoredVideo, VideoRecord
from slowfast.datasets.transforms.functional import normalize
from slowfast.engine.kept_scores import KeptScores
from slowfast.engine.video_scores import VideoScores, concatenated, merge, without_scores
from slowfast.evaluation.probes.temporal_probes import logits_in_orders
from slowfast.evaluation.views import Probabilities, combine_views, to_probabilities, why_not_finite
from slowfast.runtime import distributed
from slowfast.runtime.interruption import Interrupted, raise_if_stopped, stop_signal
from slowfast.runtime.log import progress
from slowfast.runtime.precision import autocast, autocast_dtype

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """How videos are scored, whatever the model: made once, used for any number of videos.

    Attributes:
        device: of the models.
        normalize: takes uint8 clips (N, C, T, H, W) on the device to what a model takes.
        autocast_dtype: that models compute in; None for float32.
        views_per_pass: of one forward pass, at most.
        has_probabilities, method, is_multi_label: how views become a video's scores, see ``combine_views``.
        build_dataset: from records to the data set of their views.
        workers: processes that load records which do not fit one pass; lists come with loaders of their own.
        orders: of the frames of a clip that it is scored in besides its own, by name (``orders_of_probes``).
    """

    device: torch.device
    normalize: Callable[[Tensor], Tensor]
    build_dataset: Callable[[Sequence[VideoRecord]], EvalClipDataset]
    autocast_dtype: torch.dtype | None = None
    views_per_pass: int = 1
    has_probabilities: bool = True
    method: str = "sum"
    is_multi_label: bool = False
    workers: Workers = field(default_factory=Workers)
    orders: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @classmethod
    def from_config(cls, cfg: CfgNode, device: torch.device) -> "Scorer":
        """As the tests of a config score: ``TEST.*``, ``DATA.MEAN``, ``STD``, ``ENSEMBLE_METHOD``, ``MULTI_LABEL``."""
        dtype = autocast_dtype(cfg.TRAIN.MIXED_PRECISION_DTYPE, device) if cfg.TEST.MIXED_PRECISION else None
        return cls(
            device=device,
            normalize=build_normalize(cfg, device),
            build_dataset=partial(build_eval_dataset, cfg),
            autocast_dtype=dtype,
            views_per_pass=max(cfg.TEST.BATCH_SIZE // distributed.processes_per_node(cfg.NUM_GPUS), 1),
            has_probabilities=cfg.TEST.ADD_SOFTMAX,
            method=cfg.DATA.ENSEMBLE_METHOD,
            is_multi_label=cfg.DATA.MULTI_LABEL,
            workers=Workers.from_config(cfg),
        )

    def with_dataset(
        self, build_dataset: Callable[[Sequence[VideoRecord]], EvalClipDataset], *, num_workers: int
    ) -> "Scorer":
        """The same, for videos that are read in another way."""
        return replace(self, build_dataset=build_dataset, workers=replace(self.workers, num=num_workers))

    def score_loader(self, model: nn.Module, loader: DataLoader, kept: KeptScores | None = None) -> VideoScores | None:
        """Score every video of a list once; all processes call this together.

        Args:
            model: the bare model, on the device; set to evaluation mode here and back afterwards.
            loader: of an EvalClipDataset; this process's share.
            kept: batches of this share that are scored already; the others are added.

        Returns:
            The scores of all processes on rank 0, None elsewhere.

        Raises:
            Interrupted: if a process has been asked to stop.
        """
        share = self._score_share(model, loader, kept)
        # All stop, or none: one that left alone would keep the others waiting for its scores.
        if any(distributed.gather_everywhere(stop_signal() is not None)):
            raise Interrupted("a signal to another process" if stop_signal() is None else stop_signal().name)
        shares = distributed.gather_objects(share)
        return merge(shares, len(loader.dataset)) if shares else None

    def score_records(self, model: nn.Module, records: Sequence[VideoRecord]) -> VideoScores:
        """Score any videos, in this process alone.

        Args:
            model: as for ``score_loader``.
            records: of the videos; their labels play no part.

        Raises:
            Interrupted: if this process has been asked to stop.
        """
        return merge(list(self.iterate_records(model, records)), len(records))

    def iterate_records(self, model: nn.Module, records: Sequence[VideoRecord]) -> Iterator[VideoScores]:
        """``score_records`` batch by batch, in the order of the records: none but those of one batch are kept."""
        loader = self._load_records(records)
        with _evaluating(model):
            for batch in progress(loader, "evaluating", len(loader)):
                raise_if_stopped()
                yield self._score_batch(model, batch, loader.dataset)

    def compute_records(
        self, model: nn.Module, records: Sequence[VideoRecord], compute: Callable[[Tensor], Tensor]
    ) -> Iterator[tuple[Batch, Tensor]]:
        """Compute anything of any videos, in this process alone.

        Args:
            model: of which ``compute`` calls a part; in evaluation mode meanwhile.
            records: of the videos; their labels play no part.
            compute: takes normalised clips (n, C, T, H, W) on the device to something of n rows.

        Yields:
            Batches, in the order of the records, and what was computed of all views of their videos; no rows if none
            of a batch could be read.

        Raises:
            Interrupted: if this process has been asked to stop.
        """
        loader = self._load_records(records)
        with _evaluating(model):
            for batch in progress(loader, "computing", len(loader)):
                raise_if_stopped()
                _log_resized(batch)
                yield batch, self._compute(compute, batch.clips) if len(batch.video_idx) else torch.empty(0)

    def _load_records(self, records: Sequence[VideoRecord]) -> DataLoader:
        """A loader of all views of the records, in their order."""
        # Without labels: those of one run may be numbers or tuples, and a video from elsewhere has none.
        dataset = self.build_dataset([record._replace(label=0) for record in records])
        batch_size = max(min(self.views_per_pass // dataset.num_views, len(records)), 1)
        # Processes that load take longer to start than a few videos take to read.
        workers = self.workers if len(records) > batch_size else replace(self.workers, num=0)
        return clip_loader(
            dataset,
            batch_size=batch_size,
            sampler=[SampleKey(0, idx) for idx in range(len(records))],
            workers=workers,
        )

    def _score_share(self, model: nn.Module, loader: DataLoader, kept: KeptScores | None) -> VideoScores:
        """Score this process's videos, in the loader's order, until it is asked to stop."""
        parts = [] if kept is None else [*kept.parts]
        num_kept = len(parts)
        if num_kept:
            loader.sampler.set_epoch(0, num_steps_done=num_kept)
        with _evaluating(model):
            for batch in progress(loader, "evaluating", num_kept + len(loader), initial=num_kept):
                if stop_signal() is not None:
                    break
                parts.append(self._score_batch(model, batch, loader.dataset))
                if kept is not None:
                    kept.append(parts[-1])
        return concatenated(parts)

    def _score_batch(self, model: nn.Module, batch: Batch, dataset: EvalClipDataset) -> VideoScores:
        """Score the videos of a batch."""
        _log_resized(batch)
        if len(batch.video_idx) == 0:
            return without_scores(batch.failed, batch.truncated)
        rows = self._compute(partial(logits_in_orders, model, self.orders.values()), batch.clips)
        logits = rows.unbind(dim=1)  # 1 + P of (N * V, K)
        scores = [self._combine(each, dataset.num_views) for each in logits]
        causes = why_not_finite(logits[0].unflatten(0, (-1, dataset.num_views)), scores[0])
        told = zip(batch.video_idx.tolist(), causes, strict=True)
        unscored = [UnscoredVideo(idx, dataset.records[idx].path, cause) for idx, cause in told if cause]
        is_scored = torch.tensor([not cause for cause in causes])
        own, *probed = [each.cpu()[is_scored] for each in scores]
        probes = dict(zip(self.orders, probed, strict=True))
        return VideoScores(batch.video_idx[is_scored], own, list(batch.failed), list(batch.truncated), unscored, probes)

    def _compute(self, compute: Callable[[Tensor], Tensor], clips: Tensor) -> Tensor:
        """From uint8 clips (N, C, T, H, W) to what the model, or a part of it, makes of them: N rows."""
        rows = []
        for some in clips.split(min(self.views_per_pass, len(clips))):
            some = self.normalize(some.to(self.device, non_blocking=True))
            with torch.inference_mode(), autocast(self.device, self.autocast_dtype):
                rows.append(compute(some))
        return torch.cat(rows)

    def probabilities(self, scores: Tensor) -> Probabilities:
        """What scores of videos (..., K) say in terms of probability."""
        return to_probabilities(
            scores, has_probabilities=self.has_probabilities, method=self.method, is_multi_label=self.is_multi_label
        )

    def _combine(self, logits: Tensor, num_views: int) -> Tensor:
        """From logits of views (N * V, K) to scores of videos (N, K)."""
        return combine_views(
            logits,
            num_views,
            has_probabilities=self.has_probabilities,
            method=self.method,
            is_multi_label=self.is_multi_label,
        )


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode within it; afterwards, also after an error, every part is in the mode that it was in."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, is_training in modes:
            part.training = is_training


def _log_resized(batch: Batch) -> None:
    for video in batch.resized:
        logger.warning("%s: %s", video.path, video.cause)


def build_normalize(cfg: CfgNode, device: torch.device) -> Callable[[Tensor], Tensor]:
    """What takes uint8 clips (N, C, T, H, W) on the device to float32, by ``DATA.MEAN`` and ``DATA.STD``."""
    mean, std = (torch.tensor(values, device=device) for values in (cfg.DATA.MEAN, cfg.DATA.STD))
    return partial(normalize, mean=mean, std=std)
