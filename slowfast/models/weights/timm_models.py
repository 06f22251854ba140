"""timm's pretrained ViTs, downloaded by timm when ``timm:<model>`` asks for one."""

import difflib

from torch import nn

from slowfast.errors import UserError
from slowfast.models.vit_style import ViTStyle
from slowfast.models.weights.image_vits import from_timm
from slowfast.models.weights.translation import Translation


def load_timm(name: str) -> Translation:
    """Translate a pretrained model of timm's, such as vit_base_patch16_224.augreg_in21k.

    Raises:
        UserError: if timm has no such model, it cannot be downloaded, or it is no ViT that UniFormerV2 can carry.
    """
    import timm  # takes seconds, and few runs want it

    if not timm.is_model(name.partition(".")[0]):
        near = ", ".join(difflib.get_close_matches(name, timm.list_models("*vit*"), n=3, cutoff=0.0))
        raise UserError(f"UNIFORMERV2.PRETRAIN timm:{name}: timm has no model of that name; the nearest are {near}")
    published = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if published is not None and "QuickGELU" in str(published.notes) and "quickgelu" not in name:
        remedy = name.replace("_clip_", "_clip_quickgelu_")
        raise UserError(
            f"UNIFORMERV2.PRETRAIN timm:{name}: these weights were trained with QuickGELU, which timm replaces by GELU "
            f"in this model; set UNIFORMERV2.PRETRAIN to timm:{remedy}"
        )
    try:
        model = timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:  # the hub's client raises many kinds when there is no network
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"UNIFORMERV2.PRETRAIN timm:{name}: timm cannot get the weights: {cause}; without a network, save them "
            f"elsewhere with torch.save(timm.create_model({name!r}, pretrained=True).state_dict(), FILE) and set "
            f"UNIFORMERV2.PRETRAIN to that file"
        ) from None
    return translate_timm(model)


def translate_timm(model: nn.Module) -> Translation:
    """Translate a model of timm's; what its state dict does not tell is read from its modules.

    Raises:
        UserError: if it is no ViT that UniFormerV2 can carry, with the reason.
    """
    from timm.models import vision_transformer as vit

    kind = type(model).__name__
    weights = model.state_dict()
    if not isinstance(model, vit.VisionTransformer):
        if "patch_embed.proj.weight" in weights and "cls_token" in weights:
            from_timm(weights)  # tells what is in the way, as for BEiT
        raise UserError(f"a {kind} of timm cannot be carried over exactly; accepted: its VisionTransformer")
    block = model.blocks[0]
    for part, accepted in ((block, vit.Block), (block.attn, vit.Attention)):
        if type(part) is not accepted:
            found = type(part).__name__
            raise UserError(f"a ViT of timm with {found} cannot be carried over exactly; accepted: {accepted.__name__}")
    style = ViTStyle(_activation(block.mlp.act), not isinstance(model.norm_pre, nn.Identity), block.norm1.eps)
    translation = from_timm(weights, style)
    translation.num_heads = block.attn.num_heads
    return translation


def _activation(module: nn.Module) -> str:
    if isinstance(module, nn.GELU):
        return "gelu" if module.approximate == "none" else f"gelu ({module.approximate} approximation)"
    name = type(module).__name__
    return {"GELU": "gelu", "QuickGELU": "quick_gelu"}.get(name, name)  # timm's own classes
