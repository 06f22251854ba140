"""BatchNorm folded into the layers that read it is the same function, and stays where it cannot be folded."""

import pytest
import torch
from torch import nn

from slowfast.models.batch_norm import FoldableNorms, fold_batch_norms
from slowfast.models.reference import use_reference
from tests.models.tiny_models import tiny_light
from tests.models.weights.layouts import randomized, tiny_v1, tiny_v2


@pytest.mark.parametrize("is_reference", [False, True])
@pytest.mark.parametrize("build", [tiny_v1, tiny_light, tiny_v2])
def test_a_folded_model_is_the_same_function(build, is_reference: bool):
    model = randomized(build())
    clips = torch.randn(2, 3, 4, *[16 if build is tiny_v2 else 32] * 2)
    norms = [name for name, part in model.named_modules() if isinstance(part, nn.BatchNorm3d)]
    with torch.no_grad():
        expected = model(clips)
        model = use_reference(model) if is_reference else model
        assert sorted(fold_batch_norms(model)) == sorted(norms) and norms
        error = (model(clips) - expected).abs().max() / expected.abs().max()
    assert error < 1e-5
    assert not any(isinstance(part, nn.BatchNorm3d) for part in model.modules())
    assert fold_batch_norms(model) == []


class Pair(FoldableNorms, nn.Module):
    norm_readers = (("norm", "reader"),)

    def __init__(self, norm: nn.Module, reader: nn.Module) -> None:
        super().__init__()
        self.norm, self.reader = norm, reader


@pytest.mark.parametrize(
    "pair",
    [
        Pair(nn.BatchNorm3d(4), nn.Conv3d(4, 6, 3, padding=1)),  # zeros around it are not zeros before the norm
        Pair(nn.BatchNorm3d(4), nn.Conv3d(4, 6, 1, padding=1)),
        Pair(nn.BatchNorm3d(4), nn.Conv3d(4, 4, 1, groups=4)),
        Pair(nn.BatchNorm3d(4), nn.Conv3d(4, 6, 1, bias=False)),
        Pair(nn.BatchNorm3d(4, track_running_stats=False), nn.Conv3d(4, 6, 1)),
        Pair(nn.LayerNorm(4), nn.Linear(4, 6)),
        Pair(nn.BatchNorm3d(4), nn.Identity()),  # a model without a classifier
    ],
)
def test_what_cannot_be_folded_stays(pair: Pair):
    norm = pair.norm
    assert fold_batch_norms(pair.eval()) == [] and pair.norm is norm


def test_a_norm_without_weights_folds():
    pair = Pair(nn.BatchNorm3d(4, affine=False), nn.Conv3d(4, 6, 1)).eval()
    pair.norm.running_mean.normal_()
    pair.norm.running_var.uniform_(0.5, 2)
    volume = torch.randn(2, 4, 2, 3, 3)
    expected = pair.reader(pair.norm(volume))
    assert fold_batch_norms(pair) == ["norm"]
    assert torch.allclose(pair.reader(volume), expected, atol=1e-6)
