"""Times of steps that processes take together, without making a GPU wait between them."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter

import torch

from slowfast.runtime import distributed


@dataclass(frozen=True)
class Rate:
    """How fast steps followed each other.

    Attributes:
        videos_per_s, clips_per_s: of all processes, over the whole time that was measured.
        median_s, p10_s, p90_s, min_s: time of a step on this process: median, 10th and 90th percentile, shortest.
        data_time_s: waiting for data, mean of a step on this process.
    """

    videos_per_s: float
    clips_per_s: float
    median_s: float
    p10_s: float
    p90_s: float
    min_s: float
    data_time_s: float


class StepTimer:
    """Adds up the times of one kind of step.

    Args:
        device: that this process computes on.
        step: takes one step and returns the seconds of waiting for data.
    """

    def __init__(self, device: torch.device, step: Callable[[], float]) -> None:
        self.device = device
        self.step = step
        self.steps_s: list[float] = []
        self.total_s = self.data_time_s = 0.0

    def take(self, num_steps: int, *, num_warmup: int) -> None:
        """Take steps and time those after the warm-up, from when all processes begin to when all are done."""
        for _ in range(num_warmup):
            self.step()
        self._wait_for_all()
        start = perf_counter()
        ends = [self._now()]
        for _ in range(num_steps):
            self.data_time_s += self.step()
            ends.append(self._now())
        self._wait_for_all()
        self.total_s += perf_counter() - start
        self.steps_s += [self._seconds(*pair) for pair in pairwise(ends)]

    def mean_s(self) -> float:
        """Of a step, of all that were timed."""
        return self.total_s / len(self.steps_s)

    def rate(self, *, videos_per_step: int, clips_per_step: int) -> Rate:
        """Of all steps that were timed.

        Args:
            videos_per_step, clips_per_step: of all processes.
        """
        tenths = statistics.quantiles(self.steps_s, n=10, method="inclusive") if len(self.steps_s) > 1 else self.steps_s
        return Rate(
            videos_per_s=videos_per_step / self.mean_s(),
            clips_per_s=clips_per_step / self.mean_s(),
            median_s=statistics.median(self.steps_s),
            p10_s=tenths[0],
            p90_s=tenths[-1],
            min_s=min(self.steps_s),
            data_time_s=self.data_time_s / len(self.steps_s),
        )

    def _wait_for_all(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        distributed.barrier()

    def _now(self) -> torch.cuda.Event | float:
        """A GPU itself takes the time when it comes to what was asked of it so far."""
        if self.device.type != "cuda":
            return perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _seconds(self, before: torch.cuda.Event | float, after: torch.cuda.Event | float) -> float:
        """Between two of these, once the device has come to them."""
        return before.elapsed_time(after) / 1e3 if self.device.type == "cuda" else after - before
