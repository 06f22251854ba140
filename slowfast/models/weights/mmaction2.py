"""MMAction2's names for the weights of both families, in both directions.

Its backbones are ours, but for the LayerNorm before the classifier of UniFormerV2, which it calls ``norm``; the
classifier is a module of its own. It has no frozen form of UniFormerV2, which leaves the ViT's class tokens out of
the fusion: a balance whose sigmoid is exactly 0 does the same.
"""

from collections.abc import Mapping

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
_V1_NAMES = {"backbone.": "", "cls_head.fc_cls.": "head."}


def is_mmaction2(weights: Mapping[str, Tensor]) -> bool:
    """Whether the names are MMAction2's, of either family."""
    return any(name.startswith(("cls_head.", "backbone.transformer.norm.", "backbone.blocks1.")) for name in weights)


def from_mmaction2(weights: Mapping[str, Tensor]) -> Translation:
    """Translate a checkpoint of MMAction2's UniFormer or UniFormerV2."""
    is_v2 = any(name.startswith("backbone.transformer.") for name in weights)
    family = "Uniformerv2" if is_v2 else "Uniformer"
    names = _V2_NAMES if is_v2 else _V1_NAMES
    rules = [(old.replace(".", r"\.") + "(.*)", new + r"\1") for old, new in names.items()]
    if is_v2:
        rules.append((r"(backbone\..*)", r"\1"))
    layout = f"MMAction2's {'UniFormerV2' if is_v2 else 'UniFormer'}"
    renamed, old_names, skipped = rename(weights, rules, skip=r"data_preprocessor\..*", layout=layout)
    is_frozen = BALANCE in renamed and not renamed[BALANCE].float().sigmoid().any()
    return Translation(
        layout=layout,
        weights=renamed,
        family=family,
        remapped={new: old for new, old in old_names.items() if new != old},
        skipped=skipped,
        droppable=frozenset([BALANCE] if is_frozen else []),
        origin="mmaction2",
    )


def to_mmaction2(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename our weights of either family for MMAction2.

    Raises:
        UserError: for UNIFORMER.SPLIT or UNIFORMER.STD, which MMAction2 does not build.
    """
    if "backbone.class_embedding" in weights:
        no_balance = torch.full_like(weights["backbone.class_embedding"], NO_BALANCE)
        return {_renamed(name, _V2_NAMES): value for name, value in ({BALANCE: no_balance} | dict(weights)).items()}
    for key, is_set in (
        ("SPLIT", any(".t_attn." in name for name in weights)),
        ("STD", weights["patch_embed2.proj.weight"].shape[2] > 1),
    ):
        if is_set:
            raise UserError(f"MMAction2 does not build a UniFormer with UNIFORMER.{key} True; it cannot be exported")
    return {
        f"cls_head.fc_cls.{name.removeprefix('head.')}" if name.startswith("head.") else f"backbone.{name}": value
        for name, value in weights.items()
    }


def _renamed(name: str, names: Mapping[str, str]) -> str:
    """Our name as MMAction2's."""
    return next((old + name.removeprefix(new) for old, new in names.items() if name.startswith(new)), name)
