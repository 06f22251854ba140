"""Whether probabilities are as good as they say."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss as scikit_learns_log_loss

from slowfast.evaluation.calibration import (
    calibrate,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    with_temperature,
)


def drawn(num_videos: int, sharpness: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities, and labels drawn from them."""
    generator = torch.Generator().manual_seed(seed)
    probabilities = (sharpness * torch.randn(num_videos, 6, generator=generator, dtype=torch.float64)).softmax(dim=1)
    return probabilities, probabilities.multinomial(1, generator=generator)[:, 0]


def test_the_error_is_the_mean_gap_of_equal_bins():
    confidence = np.array([0.5, 0.6, 0.7, 0.9])
    is_correct = np.array([True, False, True, True])
    assert expected_calibration_error(confidence, is_correct, 2) == pytest.approx((abs(0.5 - 0.55) + 1 - 0.8) / 2)
    # More bins than videos: each is one of its own.
    assert expected_calibration_error(confidence, is_correct, 9) == pytest.approx((0.5 + 0.6 + 0.3 + 0.1) / 4)


def test_an_error_is_never_zero_and_its_level_says_how_much_that_is():
    found = [calibrate(*drawn(400, 2.0, seed), "softmax") for seed in range(30)]
    errors, levels = ([getattr(each, name) for each in found] for name in ("error", "level"))
    assert min(errors) > 1.0
    assert np.mean(errors) == pytest.approx(np.mean(levels), rel=0.08)
    probabilities, labels = drawn(400, 2.0)
    boastful = calibrate(with_temperature(probabilities, 0.4), labels, "softmax")
    assert boastful.error > 3 * boastful.level


def test_log_loss_is_scikit_learns():
    probabilities, labels = drawn(50, 2.0)
    expected = scikit_learns_log_loss(labels, probabilities, labels=list(range(6)))
    assert log_loss(probabilities, labels) == pytest.approx(expected, rel=1e-9)
    certain = torch.tensor([[1.0, 0.0]])
    assert 700 < log_loss(certain, torch.tensor([1])) < 710


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_temperature_is_found_again(temperature: float):
    probabilities, labels = drawn(40_000, 2.0)
    spoilt = with_temperature(probabilities, 1 / temperature)
    assert fit_temperature(spoilt, labels) == pytest.approx(temperature, rel=0.03)


def test_what_a_temperature_changes_is_told():
    probabilities, labels = drawn(5_000, 2.0)
    told = calibrate(with_temperature(probabilities, 0.5), labels, "softmax", 2.0)
    as_drawn = calibrate(probabilities, labels, "softmax")
    assert told.temperature == 2.0 and told.log_loss_with_temperature == pytest.approx(as_drawn.log_loss, rel=1e-6)
    assert told.error_with_temperature == pytest.approx(as_drawn.error, rel=1e-6) and told.error > 3 * as_drawn.error
    assert (as_drawn.temperature, as_drawn.error_with_temperature) == (None, None)
