"""Strided convolutions of the lightweight models against ``nn.Conv3d``, in every layout and kernel that they take."""

import pytest
import torch
from torch import nn

from slowfast.models.batch_norm import normed_conv
from slowfast.models.strided_conv import PatchConv3d, StridedConv3d
from tests.golden_rule import relative_l2

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("num_clips", [1, 2])
@pytest.mark.parametrize(
    "build",
    [
        lambda: StridedConv3d(3, 6, 1),
        lambda: StridedConv3d(3, 6, 2),
        lambda: PatchConv3d(3, 6, (2, 2)),  # smaller than the input
        lambda: PatchConv3d(3, 600, (2, 4)),  # larger
    ],
)
def test_outputs_and_gradients_are_those_of_conv3d(build, num_clips, layout):
    torch.manual_seed(0)
    conv = build().double()
    x = torch.randn(num_clips, 3, 5, 8, 12, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    outputs = conv(x), conv.reference()(x)
    torch.testing.assert_close(*outputs)
    gradients = [torch.autograd.grad(y.square().sum(), [x, conv.weight, conv.bias]) for y in outputs]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("height", [8, 400])
def test_one_clip_of_few_and_of_many_rows_is_alike(height):
    """At 3 * 18 * 400 rows PyTorch leaves the 3x3x3 kernel to oneDNN; below, it is padded."""
    torch.manual_seed(0)
    conv, x = StridedConv3d(3, 4, 1), torch.randn(1, 3, 18, height, 8)
    with torch.no_grad():
        assert relative_l2(conv(x), conv.reference()(x)) < 1e-6


def test_a_batch_norm_behind_a_convolution_is_a_part_of_it_in_evaluation_alone():
    torch.manual_seed(0)
    conv, norm = StridedConv3d(3, 6, 2).double(), nn.BatchNorm3d(6).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x, ran = torch.randn(2, 3, 4, 8, 8, dtype=torch.float64), []
    norm.register_forward_hook(lambda *_: ran.append(1))
    trained = normed_conv(x, conv, norm)
    assert len(ran) == 1 and norm.num_batches_tracked == 1
    torch.testing.assert_close(trained.mean((0, 2, 3, 4)), norm.bias)
    norm.eval()
    expected = norm(conv.reference()(x))
    ran.clear()
    torch.testing.assert_close(normed_conv(x, conv, norm), expected)
    assert ran == []
    assert normed_conv(x, conv, nn.Identity()).equal(conv(x))
