"""Number formats of autocast."""

import pytest
import torch

from slowfast.runtime.precision import autocast, autocast_dtype, gradient_scaler

CPU = torch.device("cpu")


@pytest.mark.parametrize(("name", "dtype"), [("auto", None), ("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_the_cpu_computes_in_float32_unless_asked_to(name: str, dtype: torch.dtype | None):
    assert autocast_dtype(name, CPU) is dtype
    with autocast(CPU, dtype):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype is (dtype or torch.float32)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_computes_in_bfloat16_where_it_can():
    has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    assert autocast_dtype("auto", torch.device("cuda")) is (torch.bfloat16 if has_bfloat16 else torch.float16)


def test_only_float16_has_a_loss_scale():
    scales = {dtype: gradient_scaler(CPU, dtype).scale(torch.ones(())) for dtype in (None, torch.bfloat16)}
    assert set(scales.values()) == {torch.ones(())} or all(scale == 1 for scale in scales.values())
    assert gradient_scaler(CPU, torch.float16).scale(torch.ones(())) == 2**16
