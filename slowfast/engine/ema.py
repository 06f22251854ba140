"""EMA: the exponential moving average of the weights."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightEma:
    """A copy of a model whose parameters follow the model's slowly; buffers are the model's own.

    Args:
        model: the bare model; it is copied.
        decay: share of the old EMA that a step keeps, in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take one step towards the bare model: ema = decay * ema + (1 - decay) * parameter."""
        ema = list(self.model.parameters())
        torch._foreach_lerp_(ema, [p.detach() for p in model.parameters()], 1.0 - self.decay)
        for own, other in zip(self.model.buffers(), model.buffers(), strict=True):
            own.copy_(other)

    def state_dict(self) -> dict[str, Tensor]:
        """Of the copy, under the published names."""
        return self.model.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Resume from a checkpoint."""
        self.model.load_state_dict(state_dict)
