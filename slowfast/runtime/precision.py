"""Which number format computes: autocast's data type, and the loss scale that float16 needs."""

import torch


def autocast_dtype(name: str, device: torch.device) -> torch.dtype | None:
    """The data type of autocast, or None for plain float32.

    Args:
        name: bf16 or fp16; auto is bfloat16 on a GPU that has it and float16 on another, and float32 on the CPU.
        device: that computes.
    """
    if name == "auto":
        if device.type == "cpu":
            return None
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return {"bf16": torch.bfloat16, "fp16": torch.float16}[name]


def autocast(device: torch.device, dtype: torch.dtype | None) -> torch.autocast:
    """A context in which products are computed in ``dtype``; None changes nothing."""
    return torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None)


def gradient_scaler(device: torch.device, dtype: torch.dtype | None) -> torch.amp.GradScaler:
    """Keeps float16 gradients from vanishing (arXiv 1710.03740, section 3.2); passes everything on for other types."""
    return torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)
