"""What a source of weights has to say, under our names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from slowfast.errors import UserError
from slowfast.models.vit_style import ViTStyle


@dataclass
class Translation:
    """The weights of a source under our names, and what has to be known about them.

    Attributes:
        layout: what the source is, for people.
        weights: our name -> tensor, of the source's shape.
        family: name of the model it is of; "" for any that has these names.
        remapped: our name -> the source's, where they differ, or how it was computed.
        skipped: the source's names that we have no use for.
        may_lack: regular expression of our names that such a source does not have; they keep their initialisation.
        droppable: our names that change nothing if the model has no place for them.
        inflates_at_centre: a 2-D kernel becomes the middle of a 3-D one; otherwise it is repeated over time and
            divided.
        style: of the image ViT; its activation is None if the source does not tell it. None if there is no ViT.
        num_heads: attention heads of the ViT, if the source tells.
        origin: whose order the classes have: authors, mmaction2, own or "" (unknown).
        class_names: in the order of the head's rows, if the source carries them.
        config: full key -> value, of a checkpoint of ours that carries its resolved config; otherwise empty.
        config_text: the same, as it is written there.
    """

    layout: str
    weights: dict[str, Tensor]
    family: str = ""
    remapped: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    may_lack: str | None = None
    droppable: frozenset[str] = frozenset()
    inflates_at_centre: bool = False
    style: ViTStyle | None = None
    num_heads: int | None = None
    origin: str = ""
    class_names: list[str] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    config_text: str = ""


def rename(
    weights: Mapping[str, Tensor], rules: Sequence[tuple[str, str]], *, skip: str, layout: str
) -> tuple[dict[str, Tensor], dict[str, str], list[str]]:
    """Rename weights by regular expressions.

    Args:
        weights: the source's.
        rules: pairs of an expression that a whole name matches, and what it becomes.
        skip: expression of the names that are left out.
        layout: the source, for the error.

    Returns:
        Renamed weights, new name -> old name, and the names left out.

    Raises:
        UserError: for a name that neither a rule nor ``skip`` matches: leaving it out would change the function.
    """
    renamed, old_names, skipped = {}, {}, []
    for name, value in weights.items():
        matches = (found.expand(new) for old, new in rules if (found := re.fullmatch(old, name)))
        new_name = next(matches, None)
        if new_name is not None:
            renamed[new_name], old_names[new_name] = value, name
        elif re.fullmatch(skip, name):
            skipped.append(name)
        else:
            raise UserError(f"{layout} has {name}, for which our model has no place; it cannot be carried over exactly")
    return renamed, old_names, skipped
