"""MMAction2's names for the weights of both families, in both directions.

Its backbones are ours, but for the LayerNorm before the classifier of UniFormerV2, which it calls ``norm``; the
classifier is a module of its own. It has no frozen form of UniFormerV2, which leaves the ViT's class tokens out of
the fusion: a balance whose sigmoid is exactly 0 does the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from slowfast.errors import UserError
from slowfast.models.weights.translation import Translation, rename

BALANCE = "backbone.transformer.balance"
NO_BALANCE = -1e4

_V2_NAMES = {
    "backbone.transformer.norm.": "backbone.transformer.proj.0.",
    "cls_head.fc_cls.": "backbone.transformer.proj.2.",
}
_V1_NAMES = {"cls_head.fc_cls.": "head.", "backbone.": ""}


def is_mmaction2(weights: Mapping[str, Tensor]) -> bool:
    """Whether the names are MMAction2's, of either family."""
    return any(name.startswith(("cls_head.", "backbone.transformer.norm.", "backbone.blocks1.")) for name in weights)


def v1_from_mmaction2(weights: Mapping[str, Tensor]) -> Translation:
    """Translate a checkpoint of MMAction2's UniFormer."""
    return _translated(weights, _rules(_V1_NAMES), "MMAction2's UniFormer", "Uniformer")


def v2_from_mmaction2(weights: Mapping[str, Tensor]) -> Translation:
    """Translate a checkpoint of MMAction2's UniFormerV2."""
    rules = [*_rules(_V2_NAMES), (r"(backbone\..*)", r"\1")]
    translation = _translated(weights, rules, "MMAction2's UniFormerV2", "Uniformerv2")
    balance = translation.weights.get(BALANCE)
    is_frozen = balance is not None and not balance.float().sigmoid().any()
    return replace(translation, droppable=frozenset([BALANCE] if is_frozen else []))


def _rules(names: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(old.replace(".", r"\.") + "(.*)", new + r"\1") for old, new in names.items()]


def _translated(
    weights: Mapping[str, Tensor], rules: Sequence[tuple[str, str]], layout: str, family: str
) -> Translation:
    renamed, old_names, skipped = rename(weights, rules, skip=r"data_preprocessor\..*", layout=layout)
    return Translation(
        layout=layout,
        weights=renamed,
        family=family,
        remapped={new: old for new, old in old_names.items() if new != old},
        skipped=skipped,
        origin="mmaction2",
    )


def v2_to_mmaction2(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename our weights of a UniFormerV2 for MMAction2."""
    no_balance = torch.full_like(weights["backbone.class_embedding"], NO_BALANCE)
    return {_renamed(name, _V2_NAMES): value for name, value in ({BALANCE: no_balance} | dict(weights)).items()}


def v1_to_mmaction2(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename our weights of a UniFormer for MMAction2.

    Raises:
        UserError: for UNIFORMER.SPLIT or UNIFORMER.STD, which MMAction2 does not build.
    """
    for key, is_set in (
        ("SPLIT", any(".t_attn." in name for name in weights)),
        ("STD", weights["patch_embed2.proj.weight"].shape[2] > 1),
    ):
        if is_set:
            raise UserError(f"MMAction2 does not build a UniFormer with UNIFORMER.{key} True; it cannot be exported")
    return {_renamed(name, _V1_NAMES): value for name, value in weights.items()}


def _renamed(name: str, names: Mapping[str, str]) -> str:
    """Our name as MMAction2's: of the prefixes the first that fits."""
    return next((old + name.removeprefix(new) for old, new in names.items() if name.startswith(new)), name)
