"""Averages of training steps over the lines of a log, and the time that is left."""

import time
from typing import Any

import torch

from slowfast.engine.step import StepResult
from slowfast.runtime import distributed

# Sums that are kept on the device, so that adding a step never waits for it.
_SUMS = ("loss", "correct", "grad_norm", "clips", "data_time_s")


class StepMeter:
    """Adds up steps; ``averages`` brings the processes together.

    Args:
        device: of the training.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.num_replaced = 0
        self.reset()

    def reset(self) -> None:
        """Begin a new line of the log; the unreadable videos count on."""
        self.sums = torch.zeros(len(_SUMS), dtype=torch.float64, device=self.device)
        self.num_steps = 0
        self.start = time.perf_counter()

    def add(self, result: StepResult) -> None:
        """Add one step."""
        self.num_replaced += result.num_replaced
        on_device = [result.losses.double().mean(), result.num_correct.double(), result.grad_norm.double()]
        others = torch.tensor([result.num_clips, result.data_time_s], dtype=torch.float64)
        self.sums += torch.cat([torch.stack(on_device), others.to(self.device, non_blocking=True)])
        self.num_steps += 1

    def averages(self) -> dict[str, float]:
        """Over all processes; every process calls this.

        Returns:
            ``loss``, ``grad_norm``, ``top1`` in percent, ``data_time_s`` and ``step_time_s`` a step, ``clips_per_s`` of
            all processes, and ``num_replaced``, unreadable videos of the epoch so far.
        """
        step_time_s = (time.perf_counter() - self.start) / self.num_steps
        values = torch.cat([self.sums, torch.tensor([self.num_replaced], dtype=torch.float64, device=self.device)])
        loss, correct, grad_norm, clips, data_time_s, replaced = distributed.sum_over_processes(values).tolist()
        num_steps = self.num_steps * distributed.world_size()
        return {
            "loss": loss / num_steps,
            "top1": 100.0 * correct / clips,
            "grad_norm": grad_norm / num_steps,
            "data_time_s": data_time_s / num_steps,
            "step_time_s": step_time_s,
            "clips_per_s": clips / (step_time_s * self.num_steps),
            "num_replaced": int(replaced),
        }

    def state_dict(self) -> dict[str, Any]:
        """What a run that resumes within an epoch needs for the same lines."""
        return {
            "sums": self.sums.cpu(),
            "num_steps": self.num_steps,
            "num_replaced": self.num_replaced,
            "elapsed_s": time.perf_counter() - self.start,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from there."""
        self.sums = state["sums"].to(self.device)
        self.num_steps, self.num_replaced = state["num_steps"], state["num_replaced"]
        self.start = time.perf_counter() - state["elapsed_s"]
