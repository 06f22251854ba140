"""Averages of training steps."""

import time

import torch
from torch import Tensor


class StepMeter:
    """Averages since the last log line; sums stay on the device, so that logging rarely waits for it."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.reset()

    def reset(self) -> None:
        """Forget what was added."""
        self.sums = torch.zeros(3, dtype=torch.float64, device=self.device)
        self.num_steps = self.num_clips = 0
        self.data_time_s = 0.0
        self.start = time.perf_counter()

    def add(self, loss: Tensor, correct: Tensor, grad_norm: Tensor, num_clips: int, data_time_s: float) -> None:
        """Add one step: mean loss, correct predictions (N,) and gradient norm."""
        self.sums += torch.stack([loss.detach().double(), correct.double().sum(), grad_norm.double()])
        self.num_steps += 1
        self.num_clips += num_clips
        self.data_time_s += data_time_s

    def averages(self) -> dict[str, float]:
        """Loss, top-1 in percent, gradient norm and times in seconds a step, over this process."""
        loss, num_correct, grad_norm = self.sums.tolist()
        return {
            "loss": loss / self.num_steps,
            "top1": 100.0 * num_correct / self.num_clips,
            "grad_norm": grad_norm / self.num_steps,
            "data_time_s": self.data_time_s / self.num_steps,
            "step_time_s": (time.perf_counter() - self.start) / self.num_steps,
        }
