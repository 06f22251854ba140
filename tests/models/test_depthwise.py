"""The depth-wise convolution against its definition."""

import pytest
import torch
import torch.nn.functional as F

from slowfast.models.depthwise import DepthwiseConv3d, depthwise_conv3d

pytestmark = pytest.mark.usefixtures("one_thread")


def by_definition(x, weight, bias):
    """Sum over kernel taps of the shifted, zero-padded input."""
    _, _, t, h, w = x.shape
    kt, kh, kw = weight.shape[2:]
    padded = F.pad(x, (kw // 2, kw // 2, kh // 2, kh // 2, kt // 2, kt // 2))
    total = torch.zeros_like(x)
    for dt in range(kt):
        for dh in range(kh):
            for dw in range(kw):
                tap = weight[:, 0, dt, dh, dw].view(1, -1, 1, 1, 1)
                total = total + tap * padded[:, :, dt : dt + t, dh : dh + h, dw : dw + w]
    return total if bias is None else total + bias.view(1, -1, 1, 1, 1)


def random_leaf(*shape, dtype):
    return torch.randn(*shape, dtype=dtype).requires_grad_()


@pytest.mark.parametrize("kernel_size", [(5, 5, 5), (3, 3, 3), (3, 1, 1), (1, 3, 5)])
@pytest.mark.parametrize("size", [(4, 6, 5), (1, 3, 3), (2, 1, 7)])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_output_and_gradients_follow_the_definition(kernel_size, size, has_bias, dtype, tolerance):
    torch.manual_seed(0)
    x = random_leaf(2, 6, *size, dtype=dtype)
    weight = random_leaf(6, 1, *kernel_size, dtype=dtype)
    bias = random_leaf(6, dtype=dtype) if has_bias else None
    leaves = [leaf for leaf in (x, weight, bias) if leaf is not None]

    actual, expected = depthwise_conv3d(x, weight, bias), by_definition(x, weight, bias)
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)

    grad_output = torch.randn_like(expected)
    actual_grads = torch.autograd.grad(actual, leaves, grad_output)
    expected_grads = torch.autograd.grad(expected, leaves, grad_output)
    for actual_grad, expected_grad in zip(actual_grads, expected_grads, strict=True):
        torch.testing.assert_close(actual_grad, expected_grad, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (0, 4, 1, 2, 3), (1, 0, 4, 3, 2)])
def test_any_memory_layout_gives_the_same_result(order):
    torch.manual_seed(0)
    sizes = (2, 6, 4, 5, 7)
    x = torch.empty([sizes[i] for i in order]).permute([order.index(i) for i in range(5)]).copy_(torch.randn(sizes))
    weight, bias = torch.randn(6, 1, 3, 3, 3), torch.randn(6)
    torch.testing.assert_close(depthwise_conv3d(x, weight, bias), by_definition(x, weight, bias), rtol=1e-5, atol=1e-5)


def test_channels_last_input_stays_channels_last_on_the_cpu():
    x = torch.randn(1, 8, 2, 5, 5).contiguous(memory_format=torch.channels_last_3d)
    assert depthwise_conv3d(x, torch.randn(8, 1, 3, 3, 3)).is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("shape", [(6, 1, 2, 3, 3), (6, 1, 3, 3, 4), (6, 2, 3, 3, 3), (5, 1, 3, 3, 3)])
def test_a_weight_that_does_not_fit_is_refused(shape):
    with pytest.raises(ValueError, match=r"accepted: \(6, 1, kt, kh, kw\) with odd kt, kh, kw"):
        depthwise_conv3d(torch.randn(1, 6, 2, 4, 4), torch.randn(shape))


def test_the_module_is_initialised_and_named_like_a_grouped_conv3d():
    torch.manual_seed(0)
    actual = DepthwiseConv3d(8, kernel_size=(3, 1, 1))
    torch.manual_seed(0)
    expected = torch.nn.Conv3d(8, 8, (3, 1, 1), padding=(1, 0, 0), groups=8)
    assert list(actual.state_dict()) == list(expected.state_dict())
    x = torch.randn(2, 8, 4, 3, 3)
    torch.testing.assert_close(actual(x), expected(x))


@pytest.mark.parametrize("kernel_size", [(3, 3, 3), (3, 1, 1)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_in_half_precision_hold_nothing_that_was_in_memory_before(kernel_size, dtype):
    x, weight, bias = random_leaf(4, 16, 2, 2, 2, dtype=torch.float32), None, None
    for _ in range(20):
        weight = random_leaf(16, 1, *kernel_size, dtype=torch.float32)
        bias = random_leaf(16, dtype=torch.float32)
        remains = [
            torch.full((size,), float("nan"), dtype=kind) for size in (64, 1024, 16384) for kind in (dtype, None)
        ]
        del remains  # what is allocated next gets this memory
        with torch.autocast("cpu", dtype):
            filtered = depthwise_conv3d(x, weight, bias)
        assert filtered.dtype is dtype
        filtered.float().sum().backward()
        assert weight.grad.isfinite().all() and bias.grad.isfinite().all() and x.grad.isfinite().all()
