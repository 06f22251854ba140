"""Top-k accuracy and mean average precision."""

import torch
from torch import Tensor


def top_k_correct(scores: Tensor, labels: Tensor, k: int) -> Tensor:
    """Whether the label, or any of a video's labels, is among the k classes of the highest scores.

    Args:
        scores: (N, K), higher is better; with k > K every video that has a label counts as correct.
        labels: int64 (N,); of a multi-label run (N, K), above 0 for the classes that a video shows.

    Returns:
        bool (N,).
    """
    top = scores.topk(min(k, scores.shape[1]), dim=1).indices
    if labels.ndim == 2:
        return (labels.gather(1, top) > 0).any(dim=1)
    return (top == labels[:, None]).any(dim=1)


def top_k_accuracy(scores: Tensor, labels: Tensor, k: int) -> float:
    """Share of videos in percent; NaN without videos."""
    if len(labels) == 0:
        return float("nan")
    return 100.0 * top_k_correct(scores, labels, k).double().mean().item()


def mean_average_precision(scores: Tensor, labels: Tensor) -> float:
    """Average precision of each class over the videos, averaged over the classes that a video shows.

    The average precision of a class is the sum over its score thresholds of (recall gained) x (precision), without
    interpolation; videos of one score count together.

    Args:
        scores: (N, K), higher is better.
        labels: (N, K), above 0 for the classes that a video shows.

    Returns:
        Percent; NaN if no video shows a class, or if a score is not finite.
    """
    from sklearn.metrics import average_precision_score

    shown = labels > 0
    classes = shown.any(dim=0).nonzero().flatten().tolist()
    if not classes or not scores.isfinite().all():
        return float("nan")
    values = [average_precision_score(shown[:, i].numpy(), scores[:, i].double().numpy()) for i in classes]
    return 100.0 * torch.tensor(values, dtype=torch.float64).mean().item()
