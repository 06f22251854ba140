"""Losses by name."""

import math

import pytest
import torch
import torch.nn.functional as F

from slowfast.config import get_cfg, load_config
from slowfast.solver.loss import build_loss


def loss_by_name(name: str, *overrides: object):
    return build_loss(load_config(None, ["MODEL.LOSS_FUNC", name, *overrides]))


def test_cross_entropy_is_the_mean_negative_log_likelihood():
    logits, labels = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 2, 1, 1, 0])
    expected = -logits.log_softmax(1)[torch.arange(5), labels].mean()
    torch.testing.assert_close(loss_by_name("cross_entropy")(logits, labels), expected)


def test_soft_cross_entropy_takes_distributions():
    logits = torch.randn(5, 3, dtype=torch.float64)
    targets = torch.rand(5, 3, dtype=torch.float64).softmax(1)
    loss = loss_by_name("soft_cross_entropy", "MIXUP.ENABLE", True)
    torch.testing.assert_close(loss(logits, targets), -(targets * logits.log_softmax(1)).sum(1).mean())


def test_label_smoothing_spreads_its_share_over_all_classes():
    logits, labels = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 2, 1, 3, 0])
    targets = 0.8 * F.one_hot(labels, 4).double() + 0.2 / 4
    expected = -(targets * logits.log_softmax(1)).sum(1).mean()
    loss = loss_by_name("cross_entropy", "MODEL.LABEL_SMOOTHING", 0.2)
    torch.testing.assert_close(loss(logits, labels), expected)
    assert abs(expected - loss_by_name("cross_entropy")(logits, labels)) > 1e-3


def test_bce_logit_is_the_mean_over_videos_and_classes():
    """By hand: log(1 + exp(-x)) for a class that is shown, log(1 + exp(x)) for another."""
    logits = torch.tensor([[0.0, 2.0, -1.0], [1.0, -3.0, 0.5]], dtype=torch.float64)
    shown = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    values = [math.log(1 + math.exp(x)) for x in (0.0, 2.0, 1.0, 1.0, -3.0, -0.5)]
    loss = loss_by_name("bce_logit", "DATA.MULTI_LABEL", True)(logits, shown)
    assert loss.item() == pytest.approx(sum(values) / 6, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_bce_logit_of_autocast_logits_is_finite_and_has_a_gradient(dtype: torch.dtype):
    logits = torch.tensor([[30.0, -30.0]], dtype=dtype, requires_grad=True)
    loss = loss_by_name("bce_logit", "DATA.MULTI_LABEL", True)(logits, torch.tensor([[0.0, 1.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(30, rel=1e-2) and logits.grad.tolist() == [[0.5, -0.5]]


def test_a_loss_that_is_not_there_is_refused_with_those_that_are():
    cfg = get_cfg()
    cfg.MODEL.LOSS_FUNC = "bce"
    with pytest.raises(ValueError, match=r"MODEL.LOSS_FUNC is 'bce'; accepted: cross_entropy"):
        build_loss(cfg)
