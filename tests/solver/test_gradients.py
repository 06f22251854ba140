"""Gradient clipping: by norm, by value, and of gradients that are no numbers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from slowfast.solver.gradients import clip_gradients


def parameters_with(*gradients: list[float] | None) -> list[nn.Parameter]:
    """Parameters with these gradients; None for one without."""
    parameters = [nn.Parameter(torch.zeros(len(values or [0]))) for values in gradients]
    for parameter, values in zip(parameters, gradients, strict=True):
        parameter.grad = None if values is None else torch.tensor(values)
    return parameters


def gradients_of(parameters: list[nn.Parameter]) -> list[float]:
    return torch.cat([p.grad for p in parameters if p.grad is not None]).tolist()


def test_a_norm_beyond_the_bound_is_scaled_down_to_it():
    parameters = parameters_with([3.0, 0.0], None, [-4.0])
    assert clip_gradients(parameters, max_norm=1.0, max_value=0.0).item() == pytest.approx(5)
    assert gradients_of(parameters) == pytest.approx([0.6, 0.0, -0.8], rel=1e-5)


@pytest.mark.parametrize("max_norm", [0.0, -1.0, 5.01])
def test_a_norm_within_the_bound_or_without_one_stays(max_norm: float):
    parameters = parameters_with([3.0, 0.0], [-4.0])
    assert clip_gradients(parameters, max_norm=max_norm, max_value=0.0).item() == pytest.approx(5)
    assert gradients_of(parameters) == [3.0, 0.0, -4.0]


@pytest.mark.parametrize("max_norm", [0.0, 1.0])
def test_values_are_cut_off_and_the_norm_is_not_bounded_then(max_norm: float):
    parameters = parameters_with([3.0, 0.5], None, [-4.0])
    norm = clip_gradients(parameters, max_norm=max_norm, max_value=2.0)
    assert norm.item() == pytest.approx(math.sqrt(25.25))  # before clipping
    assert gradients_of(parameters) == [2.0, 0.5, -2.0]


@given(st.integers(0, 2**32), st.floats(1e-3, 100), st.floats(1e-3, 100))
def test_bounds_hold_and_clipping_by_norm_keeps_the_direction(seed: int, scale: float, bound: float):
    generator = torch.Generator().manual_seed(seed)
    given_values = [(scale * torch.randn(size, generator=generator)).tolist() for size in (3, 1, 5)]
    flat = torch.tensor([value for values in given_values for value in values])
    by_norm, by_value = parameters_with(*given_values), parameters_with(*given_values)
    for parameters, bounds in ((by_norm, (bound, 0.0)), (by_value, (0.0, bound))):
        norm = clip_gradients(parameters, max_norm=bounds[0], max_value=bounds[1])
        torch.testing.assert_close(norm, flat.norm())
    clipped = torch.tensor(gradients_of(by_norm))
    assert clipped.norm() <= bound * (1 + 1e-5)
    torch.testing.assert_close(clipped, flat * min(bound / flat.norm().item(), 1.0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(torch.tensor(gradients_of(by_value)), flat.clamp(-bound, bound))


def test_clipping_by_norm_is_pytorchs_to_the_last_bit():
    values = [torch.randn(7, generator=torch.Generator().manual_seed(0)).tolist() for _ in range(3)]
    ours, theirs = parameters_with(*values), parameters_with(*values)
    norm = clip_gradients(iter(ours), max_norm=0.5, max_value=0.0)  # an iterator, as model.parameters() is
    assert norm.item() == nn.utils.clip_grad_norm_(theirs, 0.5).item()
    assert gradients_of(ours) == gradients_of(theirs)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("bounds", [(1.0, 0.0), (0.0, 0.0), (0.0, 1.0)])
def test_a_gradient_that_is_not_finite_raises_nothing_and_shows_in_the_norm(bad: float, bounds: tuple[float, float]):
    norm = clip_gradients(parameters_with([bad, 1.0], [2.0]), max_norm=bounds[0], max_value=bounds[1])
    assert not norm.isfinite() and not norm.requires_grad


def test_without_any_gradient_the_norm_is_zero():
    assert clip_gradients(parameters_with(None, None), max_norm=1.0, max_value=0.0).item() == 0
    assert clip_gradients([], max_norm=1.0, max_value=1.0).item() == 0
