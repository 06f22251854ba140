"""Losses by name."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.config.choices import LOSS_TARGETS, WEIGHTED_LOSSES, ChoiceRegistry, check_target_kinds

Loss = Callable[[Tensor, Tensor], Tensor]


class LossRegistry(ChoiceRegistry):
    """Losses by name, which tell at once what targets they take: the rules of the config ask for that."""

    def register(
        self,
        obj: Any = None,
        *,
        name: str = "",
        targets: Sequence[str] = ("class",),
        takes_class_weights: bool = False,
    ) -> Any:
        """Register a loss, or give the decorator that does.

        Args:
            obj: the loss.
            name: in place of its own.
            targets: one or several of "class", int64 (N,); "mixed", float (N, K), each row a distribution over the
                classes, as mixup makes them; "several", float (N, K), 1 for each class that a clip shows and else 0.
            takes_class_weights: it has an argument ``class_weights``, float (K,), for MODEL.CLASS_WEIGHTS.

        Raises:
            UserError: for other targets, or a name that is taken.
        """
        if obj is None:
            return partial(self.register, name=name, targets=targets, takes_class_weights=takes_class_weights)
        check_target_kinds(targets)
        super().register(obj, name=name)
        LOSS_TARGETS[name or obj.__name__] = tuple(targets)
        if takes_class_weights:
            WEIGHTED_LOSSES.add(name or obj.__name__)
        return obj

    def unregister(self, name: str) -> None:
        """Take a loss out again."""
        super().unregister(name)
        del LOSS_TARGETS[name]
        WEIGHTED_LOSSES.discard(name)


LOSS_REGISTRY = LossRegistry("LOSS", "MODEL.LOSS_FUNC")
LOSS_REGISTRY.__doc__ = """
Losses by name. A registered object is a function, or a class with a classmethod ``from_config(cfg)`` that makes one, of

- ``logits``: float (N, K), under autocast in half precision;
- ``targets``: of one of the kinds that are declared when it is registered;

to their mean, a scalar with a gradient. One that takes class weights gets them as ``class_weights``, float (K,) on the
device of the training, where ``MODEL.CLASS_WEIGHTS`` asks for them.
"""


def cross_entropy(
    logits: Tensor, targets: Tensor, *, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """The mean over clips of -sum_k w_k t_k log p_k; without weights, PyTorch's ``cross_entropy``.

    With weights the mean is over the clips, as PyTorch has it for targets that are distributions. Its mean for classes
    is over their weights: in a batch of one clip, or of one class, they would cancel out, and batches that are
    accumulated or shared among processes would count differently from one large one.

    Args:
        logits: float (N, K).
        targets: classes, int64 (N,), or distributions, float (N, K).
        class_weights: w, float (K,).
        label_smoothing: share of t that is spread over all classes alike.

    Returns:
        A float scalar.
    """
    if class_weights is None:
        return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)
    # Weights in half precision would be others.
    logits = logits.to(torch.promote_types(logits.dtype, class_weights.dtype))
    weights = class_weights.to(logits.dtype)
    summed = F.cross_entropy(logits, targets, weights, reduction="sum", label_smoothing=label_smoothing)
    return summed / len(logits)


def bce_logit(logits: Tensor, targets: Tensor, *, class_weights: Tensor | None = None) -> Tensor:
    """The mean over clips and classes of PyTorch's ``binary_cross_entropy_with_logits``.

    Args:
        logits: float (N, K).
        targets: float (N, K), 1 for each class that a clip shows and else 0.
        class_weights: float (K,), of the classes where they are shown (``pos_weight``).

    Returns:
        A float scalar.
    """
    return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=class_weights)


LOSS_REGISTRY.register(cross_entropy, name="cross_entropy", targets=("class",), takes_class_weights=True)
LOSS_REGISTRY.register(cross_entropy, name="soft_cross_entropy", targets=("mixed",), takes_class_weights=True)
LOSS_REGISTRY.register(bce_logit, name="bce_logit", targets=("several",), takes_class_weights=True)


def build_loss(cfg: CfgNode, class_weights: Tensor | None = None) -> Loss:
    """The function (logits (N, K), targets) -> scalar mean that ``MODEL.LOSS_FUNC`` names.

    ``MODEL.LABEL_SMOOTHING`` goes into cross_entropy, the one loss that the rules of the config leave it to.

    Args:
        cfg: the whole config.
        class_weights: float (K,), on the device of the training, for a loss that takes them.

    Raises:
        UserError: if it is none of those registered.
    """
    loss = LOSS_REGISTRY.build(cfg, "MODEL.LOSS_FUNC", cfg.MODEL.LOSS_FUNC)
    options: dict[str, Any] = {}
    if cfg.MODEL.LABEL_SMOOTHING:
        options["label_smoothing"] = cfg.MODEL.LABEL_SMOOTHING
    if class_weights is not None:
        options["class_weights"] = class_weights
    return partial(loss, **options) if options else loss
