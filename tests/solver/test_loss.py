"""Losses by name."""

import pytest
import torch

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


def test_a_loss_that_is_not_there_is_refused_with_those_that_are():
    cfg = get_cfg()
    cfg.MODEL.LOSS_FUNC = "bce"
    with pytest.raises(ValueError, match=r"MODEL.LOSS_FUNC 'bce' is not a loss; accepted: cross_entropy"):
        build_loss(cfg)
