"""What the processes have to agree on after each step, without making a GPU wait for it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from slowfast.engine.step import StepResult
from slowfast.runtime import distributed


@dataclass(frozen=True)
class Agreement:
    """What some process said after a step, and now all know.

    Attributes:
        result: this process's own result of that step; of the first one, where there is none before it.
        has_diverged: a loss or a gradient was not finite.
        is_save_due: a checkpoint is wanted.
        is_stop_asked: the run has been asked to stop.
    """

    result: StepResult
    has_diverged: bool
    is_save_due: bool
    is_stop_asked: bool

    @property
    def is_checkpoint_wanted(self) -> bool:
        """Whether to save, to go on or to stop."""
        return self.is_save_due or self.is_stop_asked


class StepFlags:
    """Exchanges flags of a step while the next one is computed.

    Args:
        device: of the training.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._under_way: tuple[StepResult, Tensor, torch.cuda.Event | None] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether the flags of the latest step are still to be received."""
        return self._under_way is not None

    def exchange(self, result: StepResult, *, is_save_due: bool, is_stop_asked: bool) -> Agreement:
        """Send the flags of a step, and receive those of the step before; if there is none, nobody has said a thing."""
        before = Agreement(result, False, False, False) if self._under_way is None else self.settle()
        # A blocking copy would wait for the step's computation.
        flags = torch.tensor([0.0, is_save_due, is_stop_asked]).to(self.device, non_blocking=True)
        flags[0] = result.has_diverged
        distributed.largest_over_processes(flags)
        event = None
        if self.device.type == "cuda":
            # A copy that nobody waits for until the event has passed.
            flags = torch.empty(flags.shape, pin_memory=True).copy_(flags, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
        self._under_way = (result, flags, event)
        return before

    def settle(self) -> Agreement:
        """Receive the flags of the latest step; the next exchange then has none before it."""
        assert self._under_way is not None, "no step has been taken since the flags were received"
        result, flags, event = self._under_way
        self._under_way = None
        if event is not None:
            event.synchronize()
        return Agreement(result, *(bool(flag) for flag in flags.tolist()))
