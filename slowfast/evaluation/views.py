"""Scores of views to scores of videos."""

from torch import Tensor


def combine_views(logits: Tensor, num_views: int, *, has_softmax: bool, method: str) -> Tensor:
    """One row of scores a video.

    Args:
        logits: (N * V, K), the views of a video one after the other.
        num_views: V.
        has_softmax: turn each view's logits into probabilities first (TEST.ADD_SOFTMAX).
        method: "sum" averages over views (DATA.ENSEMBLE_METHOD; the sum divided by V), "max" takes the maximum.

    Returns:
        float32 (N, K).
    """
    scores = logits.float()
    if has_softmax:
        scores = scores.softmax(dim=1)
    scores = scores.unflatten(0, (-1, num_views))
    if method == "sum":
        return scores.mean(dim=1)
    if method == "max":
        return scores.amax(dim=1)
    raise ValueError(f"DATA.ENSEMBLE_METHOD {method!r} is not a method; accepted: sum, max")
