"""Whether probabilities are as good as they say: of videos predicted at 80 %, 80 % should be right."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

NUM_BINS = 15
NUM_DRAWS = 200
SEED = 0
# Between which the temperature is looked for.
TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Calibration:
    """How far the probabilities of the best classes are from the share of right ones.

    Attributes:
        error: percent, the expected calibration error (C. Guo et al., On Calibration of Modern Neural Networks, 2017)
            over ``bins`` bins of equally many videos. It is never 0, however good the probabilities are:
        level: percent, what it is on average when labels are drawn from the probabilities themselves.
        bins: of the error.
        log_loss: mean negative logarithm of the true class's probability.
        probabilities: what they were made of, in words.
        temperature: by which the logarithms of the probabilities are divided, fitted on the validation list, and
        error_with_temperature, log_loss_with_temperature: the same with it; None where none was fitted.
    """

    error: float
    level: float
    bins: int
    log_loss: float
    probabilities: str
    temperature: float | None = None
    error_with_temperature: float | None = None
    log_loss_with_temperature: float | None = None


def calibrate(probabilities: Tensor, labels: Tensor, told: str, temperature: float | None = None) -> Calibration:
    """Measure the calibration of a test.

    Args:
        probabilities: (n, K), rows that sum to 1, n > 0.
        labels: int64 (n,).
        told: what the probabilities were made of.
        temperature: from another list, see ``fit_temperature``.
    """
    probabilities = probabilities.double()
    error, level = _error_and_level(probabilities, labels)
    calibration = Calibration(error, level, NUM_BINS, log_loss(probabilities, labels), told)
    if temperature is None:
        return calibration
    cooled = with_temperature(probabilities, temperature)
    figures = {
        "temperature": temperature,
        "error_with_temperature": _error_and_level(cooled, labels)[0],
        "log_loss_with_temperature": log_loss(cooled, labels),
    }
    return Calibration(**{**vars(calibration), **figures})


def expected_calibration_error(confidence: np.ndarray, is_correct: np.ndarray, num_bins: int = NUM_BINS) -> np.ndarray:
    """Mean distance of confidence and share of right ones, over bins of equally many videos.

    Args:
        confidence: float (n,), probabilities of the best classes, ascending.
        is_correct: bool (..., n), whether they are right.

    Returns:
        float (...), from 0 to 1.
    """
    parts = np.array_split(np.arange(len(confidence)), num_bins)
    gaps = [
        np.abs(is_correct[..., part].mean(axis=-1) - confidence[part].mean()) * len(part) for part in parts if len(part)
    ]
    return np.sum(gaps, axis=0) / len(confidence)


def log_loss(probabilities: Tensor, labels: Tensor) -> float:
    """Mean negative logarithm of the true class's probability; a probability of 0 counts as the least float64."""
    picked = probabilities.double().gather(1, labels[:, None])
    return float(-picked.clamp_min(torch.finfo(torch.float64).tiny).log().mean())


def fit_temperature(probabilities: Tensor, labels: Tensor) -> float:
    """The temperature of the least log loss, within ``TEMPERATURES``.

    Args:
        probabilities: (n, K) of videos of another list than is tested.
        labels: int64 (n,).
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return log_loss(with_temperature(probabilities, float(np.exp(log_temperature))), labels)

    bounds = tuple(np.log(TEMPERATURES))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-5}).x))


def with_temperature(probabilities: Tensor, temperature: float) -> Tensor:
    """Softmax of the logarithms of probabilities (n, K), divided by the temperature: float64 (n, K)."""
    logs = probabilities.double().clamp_min(torch.finfo(torch.float64).tiny).log()
    return (logs / temperature).softmax(dim=1)


def _error_and_level(probabilities: Tensor, labels: Tensor) -> tuple[float, float]:
    """The error, and its mean over labels that are drawn from the probabilities, in percent."""
    confidence, best = probabilities.max(dim=1)
    order = confidence.argsort(stable=True)
    confidence, is_correct = confidence[order].numpy(), (best == labels)[order].numpy()
    # Whether a label that is drawn from the probabilities is the best class depends on its probability alone.
    drawn = np.random.default_rng(SEED).random((NUM_DRAWS, len(confidence))) < confidence
    error, level = (expected_calibration_error(confidence, each).mean() for each in (is_correct, drawn))
    return 100.0 * float(error), 100.0 * float(level)
