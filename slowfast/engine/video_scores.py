"""What scoring makes of videos: their scores, and what kept the others from having any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from slowfast.datasets.records import FailedVideo, TruncatedVideo, UnscoredVideo


@dataclass(frozen=True)
class VideoScores:
    """What became of each video.

    Attributes:
        video_idx: int64 (n,), ascending: rows of the list, or indices of the records, that were scored.
        scores: float32 (n, K), in that order; (0, 0) if there are none.
        failed: the other videos, which could not be read, in the order of the list.
        truncated: those of the scored videos that end early, in the same order.
        unscored: videos that were read and whose scores are not finite, in the same order; they are not among the
            scored ones.
        probes: like ``scores``, of the same videos with their frames in another order, by its name; empty without
            probes, or if no video is scored.
    """

    video_idx: Tensor
    scores: Tensor
    failed: list[FailedVideo]
    truncated: list[TruncatedVideo] = field(default_factory=list)
    unscored: list[UnscoredVideo] = field(default_factory=list)
    probes: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Path and cause of each video that could not be read."""
        return [(failure.path, failure.cause) for failure in self.failed]


def without_scores(failed: Sequence[FailedVideo] = (), truncated: Sequence[TruncatedVideo] = ()) -> VideoScores:
    """Of videos none of which is scored."""
    return VideoScores(torch.empty(0, dtype=torch.int64), torch.empty(0, 0), list(failed), list(truncated))


def concatenated(parts: Sequence[VideoScores]) -> VideoScores:
    """One for all, in the order of the parts."""
    scored = [part for part in parts if len(part.video_idx)]
    none = without_scores()
    return VideoScores(
        torch.cat([part.video_idx for part in scored]) if scored else none.video_idx,
        torch.cat([part.scores for part in scored]) if scored else none.scores,
        failed=[video for part in parts for video in part.failed],
        truncated=[video for part in parts for video in part.truncated],
        unscored=[video for part in parts for video in part.unscored],
        probes={
            name: torch.cat([part.probes[name] for part in scored]) for name in (scored[0].probes if scored else ())
        },
    )


def merge(shares: Sequence[VideoScores], num_videos: int) -> VideoScores:
    """Put the processes' shares together, in the order of the list; every video must occur exactly once."""
    whole = concatenated(shares)
    order = whole.video_idx.argsort()
    failed, unscored = sorted(whole.failed), sorted(whole.unscored)
    left_out = {video.video_idx for video in unscored}
    seen = sorted(whole.video_idx.tolist() + [video.video_idx for video in failed] + [*left_out])
    assert seen == list(range(num_videos)), "a video was scored twice or not at all"
    truncated = sorted(video for video in whole.truncated if video.video_idx not in left_out)
    probes = {name: scores[order] for name, scores in whole.probes.items()}
    return VideoScores(whole.video_idx[order], whole.scores[order], failed, truncated, unscored, probes)
