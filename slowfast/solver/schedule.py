"""The learning rate as a pure function of the epoch."""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from fvcore.common.config import CfgNode


@dataclass(frozen=True, kw_only=True)
class LearningRateSchedule:
    """Linear warm-up from ``warmup_start_lr``, then a half cosine or steps.

    Args:
        policy: "cosine" (from ``base_lr`` to ``end_lr``) or "steps_with_relative_lrs" (``base_lr`` times the entry of
            ``relative_lrs`` that belongs to the last of ``steps`` passed).
        base_lr: peak learning rate.
        max_epoch: epochs of training.
        end_lr: learning rate at ``max_epoch`` (cosine).
        warmup_epochs: length of the warm-up; its last value is the policy's at that epoch.
        warmup_start_lr: learning rate at epoch 0 if there is a warm-up.
        is_cosine_after_warmup: the cosine starts at the end of the warm-up instead of at epoch 0.
        steps: epochs at which ``relative_lrs`` begin, the first 0.
        relative_lrs: factors of ``base_lr``.
    """

    policy: str
    base_lr: float
    max_epoch: float
    end_lr: float = 0.0
    warmup_epochs: float = 0.0
    warmup_start_lr: float = 0.0
    is_cosine_after_warmup: bool = False
    steps: Sequence[float] = ()
    relative_lrs: Sequence[float] = ()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "LearningRateSchedule":
        """Read ``SOLVER.*``; ``BASE_LR_SCALE_NUM_SHARDS`` multiplies all three learning rates by the nodes."""
        solver = cfg.SOLVER
        scale = cfg.NUM_SHARDS if solver.BASE_LR_SCALE_NUM_SHARDS else 1
        return cls(
            policy=solver.LR_POLICY,
            base_lr=solver.BASE_LR * scale,
            max_epoch=solver.MAX_EPOCH,
            end_lr=solver.COSINE_END_LR * scale,
            warmup_epochs=solver.WARMUP_EPOCHS,
            warmup_start_lr=solver.WARMUP_START_LR * scale,
            is_cosine_after_warmup=solver.COSINE_AFTER_WARMUP,
            steps=solver.STEPS,
            relative_lrs=solver.LRS,
        )

    def __call__(self, epoch: float) -> float:
        """Learning rate at a fractional epoch in [0, max_epoch]."""
        if epoch < self.warmup_epochs:
            reached = self._after_warmup(self.warmup_epochs)
            return self.warmup_start_lr + epoch * (reached - self.warmup_start_lr) / self.warmup_epochs
        return self._after_warmup(epoch)

    def _after_warmup(self, epoch: float) -> float:
        if self.policy == "cosine":
            offset = self.warmup_epochs if self.is_cosine_after_warmup else 0.0
            if offset >= self.max_epoch:  # warm-up alone
                return self.base_lr
            angle = math.pi * (epoch - offset) / (self.max_epoch - offset)
            return self.end_lr + (self.base_lr - self.end_lr) * (math.cos(angle) + 1.0) * 0.5
        if self.policy == "steps_with_relative_lrs":
            return self.relative_lrs[bisect.bisect_right(self.steps, epoch) - 1] * self.base_lr
        raise ValueError(f"SOLVER.LR_POLICY {self.policy!r} is not a policy; accepted: cosine, steps_with_relative_lrs")
