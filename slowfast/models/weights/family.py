"""What a model family tells about its weights, so that loading knows no family by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.models.weights.translation import Translation


class Layout(NamedTuple):
    """A public form of weights.

    Attributes:
        recognises: whether a state dict, by its names, has this form.
        translate: takes the state dict and the ``config.json`` beside its file (or None), and returns it under our
            names.
    """

    recognises: Callable[[Mapping[str, Tensor]], bool]
    translate: Callable[[Mapping[str, Tensor], Mapping[str, Any] | None], Translation]


@dataclass(frozen=True, kw_only=True)
class WeightsFamily:
    """What is known about the weights of a family; the defaults are those of a model without public weights.

    Attributes:
        layouts: its public forms; the first that recognises a state dict translates it.
        pretrained_source: takes the config and names the weights that training starts from, or None for none. It raises
            a UserError if they are not there, saying how to get them.
        misfit: takes a model and translated weights and says in a clause what of their function the model would not
            compute, with the keys to set; None if it computes it.
        resize: takes a weight's name, its value and the model's own, and returns the value for another size of input;
            None if the name is not of that kind.
        hints: part of a weight's name -> the keys to look at where such a weight does not fit; the first that matches.
        resets_classifier: takes the config and returns whether a classifier of another size starts afresh; here, unless
            MODEL.CHECKPOINT_CLASS_ORDER says what its classes are, as in the published experiments of UniFormer.
        classifier_reset_key: the key that decides that, for messages; "" if there is none.
        to_mmaction2: renames weights as MMAction2 has them; None if it does not have the family.
        why_not_exported: takes translated weights and names what of them other code bases do not have; None if they do.
    """

    layouts: Sequence[Layout] = ()
    pretrained_source: Callable[[CfgNode], str | None] = lambda cfg: None
    misfit: Callable[[nn.Module, Translation], str | None] = lambda model, translation: None
    resize: Callable[[str, Tensor, Tensor], Tensor | None] = lambda name, value, target: None
    hints: Mapping[str, str] = field(default_factory=dict)
    resets_classifier: Callable[[CfgNode], bool] = lambda cfg: cfg.MODEL.CHECKPOINT_CLASS_ORDER == ""
    classifier_reset_key: str = ""
    to_mmaction2: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] | None = None
    why_not_exported: Callable[[Translation], str | None] = lambda translation: None
