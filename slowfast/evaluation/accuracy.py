"""Top-k accuracy."""

from torch import Tensor


def top_k_correct(scores: Tensor, labels: Tensor, k: int) -> Tensor:
    """Whether the label is among the k classes of the highest scores.

    Args:
        scores: (N, K), higher is better; with k > K every video counts as correct.
        labels: int64 (N,).

    Returns:
        bool (N,).
    """
    top = scores.topk(min(k, scores.shape[1]), dim=1).indices
    return (top == labels[:, None]).any(dim=1)


def top_k_accuracy(scores: Tensor, labels: Tensor, k: int) -> float:
    """Share of videos in percent; NaN without videos."""
    if len(labels) == 0:
        return float("nan")
    return 100.0 * top_k_correct(scores, labels, k).double().mean().item()
