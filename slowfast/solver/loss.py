"""Losses by name."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch.nn.functional as F
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.config.choices import LOSS_TARGETS, ChoiceRegistry, check_target_kinds

Loss = Callable[[Tensor, Tensor], Tensor]


class LossRegistry(ChoiceRegistry):
    """Losses by name, which tell at once what targets they take: the rules of the config ask for that."""

    def register(self, obj: Any = None, *, name: str = "", targets: Sequence[str] = ("class",)) -> Any:
        """Register a loss, or give the decorator that does.

        Args:
            obj: the loss.
            name: in place of its own.
            targets: one or several of "class", int64 (N,); "mixed", float (N, K), each row a distribution over the
                classes, as mixup makes them; "several", float (N, K), 1 for each class that a clip shows and else 0.

        Raises:
            UserError: for other targets, or a name that is taken.
        """
        if obj is None:
            return partial(self.register, name=name, targets=targets)
        check_target_kinds(targets)
        super().register(obj, name=name)
        LOSS_TARGETS[name or obj.__name__] = tuple(targets)
        return obj

    def unregister(self, name: str) -> None:
        """Take a loss out again."""
        super().unregister(name)
        del LOSS_TARGETS[name]


LOSS_REGISTRY = LossRegistry("LOSS", "MODEL.LOSS_FUNC")
LOSS_REGISTRY.__doc__ = """
Losses by name. A registered object is a function, or a class with a classmethod ``from_config(cfg)`` that makes one, of

- ``logits``: float (N, K), under autocast in half precision;
- ``targets``: of one of the kinds that are declared when it is registered;

to their mean, a scalar with a gradient.
"""

LOSS_REGISTRY.register(F.cross_entropy, name="cross_entropy", targets=("class",))
# The same function: with a float (N, K) target, each row a distribution, it is the soft-target cross entropy.
LOSS_REGISTRY.register(F.cross_entropy, name="soft_cross_entropy", targets=("mixed",))
# The mean is over videos and classes.
LOSS_REGISTRY.register(F.binary_cross_entropy_with_logits, name="bce_logit", targets=("several",))


def build_loss(cfg: CfgNode) -> Loss:
    """The function (logits (N, K), targets) -> scalar mean that ``MODEL.LOSS_FUNC`` names.

    ``MODEL.LABEL_SMOOTHING`` goes into cross_entropy, the one loss that the rules of the config leave it to.

    Raises:
        UserError: if it is none of those registered.
    """
    loss, smoothing = LOSS_REGISTRY.build(cfg, "MODEL.LOSS_FUNC", cfg.MODEL.LOSS_FUNC), cfg.MODEL.LABEL_SMOOTHING
    return partial(loss, label_smoothing=smoothing) if smoothing else loss
