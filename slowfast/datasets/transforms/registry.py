"""Transforms of training clips beyond ours, by the names that ``AUG.EXTRA_TRANSFORMS`` lists."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.config.choices import ChoiceRegistry
from slowfast.errors import UserError

# (frames, rng) to frames.
ClipTransform = Callable[[Tensor, np.random.Generator], Tensor]

TRANSFORM_REGISTRY = ChoiceRegistry("TRANSFORM", "AUG.EXTRA_TRANSFORMS")
TRANSFORM_REGISTRY.__doc__ = """
Transforms by name. A registered object is a function, or a class with a classmethod ``from_config(cfg)`` that makes
one, of

- ``frames``: uint8 (T, C, size, size), the frames of one cropped and flipped clip, which it may not write to;
- ``rng``: the clip's own ``numpy.random.Generator``. All draws come from it, and from nothing else: a resumed run then
  makes the same clips, and neither workers nor ranks change them;

to frames of the same type and shape. Loading processes need it, so it can be pickled: it stands in a module, and is no
lambda.
"""


@dataclass(frozen=True)
class CheckedTransform:
    """A registered transform, whose result must be what the next step takes."""

    name: str
    transform: ClipTransform

    def __call__(self, frames: Tensor, rng: np.random.Generator) -> Tensor:
        """uint8 (T, C, size, size) to the same.

        Raises:
            UserError: if the transform gives another type or shape.
        """
        result = self.transform(frames, rng)
        given = (result.dtype, tuple(result.shape)) if isinstance(result, Tensor) else type(result).__name__
        if given != (frames.dtype, tuple(frames.shape)):
            raise UserError(
                f"AUG.EXTRA_TRANSFORMS {self.name} gives {given}; accepted: {(frames.dtype, tuple(frames.shape))}, the "
                f"type and shape of the frames that it takes"
            )
        return result


def build_extra_transforms(cfg: CfgNode) -> tuple[CheckedTransform, ...]:
    """What ``AUG.EXTRA_TRANSFORMS`` names, in order; nothing without ``AUG.ENABLE``.

    Raises:
        UserError: for a name that is not registered.
    """
    if not cfg.AUG.ENABLE:
        return ()
    return tuple(
        CheckedTransform(name, TRANSFORM_REGISTRY.build(cfg, "AUG.EXTRA_TRANSFORMS", name))
        for name in cfg.AUG.EXTRA_TRANSFORMS
    )
