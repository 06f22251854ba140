"""BatchNorm's running statistics from several batches."""

import torch
from torch import nn

from slowfast.engine.precise_bn import update_bn_stats


def test_running_statistics_are_the_averages_over_the_batches_asked_for():
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm3d(2)).train()
    model(torch.full((2, 2, 1, 1, 1), 100.0))  # a trace that has to go
    batches = [torch.randn(4, 2, 3, 2, 2) + shift for shift in (0.0, 3.0, 50.0)]
    update_bn_stats(model, iter(batches), 2)
    used = torch.stack(batches[:2]).transpose(1, 2).flatten(2)  # (batches, C, elements)
    torch.testing.assert_close(model[0].running_mean, used.mean(-1).mean(0))
    torch.testing.assert_close(model[0].running_var, used.var(-1).mean(0))
    assert model[0].momentum == 0.1


def test_without_batch_norm_no_batch_is_asked_for():
    batches = iter([torch.zeros(1)])
    update_bn_stats(nn.Linear(1, 1), batches, 1)
    assert len(list(batches)) == 1
