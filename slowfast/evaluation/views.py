"""Scores of views to scores of videos, and scores of videos to probabilities."""

from typing import NamedTuple

from torch import Tensor


class Probabilities(NamedTuple):
    """What scores say in terms of probability.

    Attributes:
        values: float32 (..., K).
        told: what they were made of, in words.
    """

    values: Tensor
    told: str


def to_probabilities(scores: Tensor, *, has_probabilities: bool, method: str, is_multi_label: bool) -> Probabilities:
    """From scores of videos (..., K), as ``combine_views`` gives them with the same options, to probabilities."""
    kind = "sigmoid" if is_multi_label else "softmax"
    if not has_probabilities:
        values = scores.sigmoid() if is_multi_label else scores.softmax(dim=-1)
        combined = "mean" if method == "sum" else "largest"
        return Probabilities(values, f"{kind} of the {combined} scores of the views")
    if method == "sum":
        return Probabilities(scores, f"mean of the views' {kind}")
    if is_multi_label:
        return Probabilities(scores, f"largest of the views' {kind}")
    return Probabilities(scores / scores.sum(dim=-1, keepdim=True), f"largest of the views' {kind}, divided by its sum")


def combine_views(
    logits: Tensor, num_views: int, *, has_probabilities: bool, method: str, is_multi_label: bool = False
) -> Tensor:
    """One row of scores per video.

    Args:
        logits: (N * V, K), the views of a video one after the other.
        num_views: V.
        has_probabilities: turn each view's logits into probabilities first (TEST.ADD_SOFTMAX).
        method: "sum" averages over views (DATA.ENSEMBLE_METHOD; the sum divided by V), "max" takes the maximum.
        is_multi_label: classes do not exclude each other (DATA.MULTI_LABEL): probabilities are a sigmoid for each
            class, otherwise a softmax over the classes.

    Returns:
        float32 (N, K).
    """
    scores = logits.float()
    if has_probabilities:
        scores = scores.sigmoid() if is_multi_label else scores.softmax(dim=1)
    scores = scores.unflatten(0, (-1, num_views))
    if method == "sum":
        return scores.mean(dim=1)
    if method == "max":
        return scores.amax(dim=1)
    raise ValueError(f"DATA.ENSEMBLE_METHOD {method!r} is not a method; accepted: sum, max")


def why_not_finite(logits: Tensor, scores: Tensor) -> list[str]:
    """Why each video has no scores that count; "" for one whose numbers are all finite.

    Logits count, too: a sigmoid or a maximum makes a finite score of an infinite one.

    Args:
        logits: (N, V, K) of the views.
        scores: (N, K) of the videos.
    """
    num_bad = (~logits.isfinite().all(dim=2)).sum(dim=1).tolist()
    are_finite = scores.isfinite().all(dim=1).tolist()
    return [
        f"the model's output is not finite in {bad} of {logits.shape[1]} views"
        if bad
        else ("" if is_finite else "its views together are beyond the numbers of float32")
        for bad, is_finite in zip(num_bad, are_finite, strict=True)
    ]
