"""Tiny image ViTs of timm's, and whether UniFormerV2 computes the same."""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from tests.golden_rule import golden_state_dict
from tests.models.weights.layouts import PLAIN_VIT

SIZE = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 3, "num_heads": 3, "num_classes": 0}
CLIP = {"pre_norm": True, "norm_layer": nn.LayerNorm, "act_layer": "quick_gelu"}
GELU_CLIP = CLIP | {"act_layer": "gelu"}
# timm's arguments of each published kind -> the keys that UniFormerV2 needs for it.
KINDS = {
    "clip": (CLIP, {}),
    "gelu_clip": (GELU_CLIP, {"UNIFORMERV2.ACTIVATION": "gelu"}),
    "supervised": ({}, PLAIN_VIT),
    "dino_mae": ({"global_pool": "avg", "fc_norm": False}, PLAIN_VIT),
    "deit3": ({"init_values": 0.1, "no_embed_class": True}, PLAIN_VIT),
    "no_qkv_bias": ({"qkv_bias": False}, PLAIN_VIT),
}
TEXT_TOWER = {
    "positional_embedding": torch.zeros(8, 16),
    "transformer.resblocks.0.ln_1.weight": torch.zeros(16),
    "token_embedding.weight": torch.zeros(20, 16),
    "logit_scale": torch.zeros(()),
    "text.ln_final.weight": torch.zeros(16),
}


def image_vit(**changes) -> nn.Module:
    """A tiny ViT of timm's with golden weights."""
    model = VisionTransformer(**(SIZE | changes))
    model.load_state_dict(golden_state_dict((name, value.shape) for name, value in model.state_dict().items()))
    return model.eval()


def tokens_of_layers(blocks, run) -> list[torch.Tensor]:
    """The outputs of ViT blocks during ``run()``."""
    outputs = []
    hooks = [block.register_forward_hook(lambda _module, _args, output: outputs.append(output)) for block in blocks]
    with torch.inference_mode():
        run()
    for hook in hooks:
        hook.remove()
    return outputs


def assert_same_tokens(vit, model, num_frames=4, seed=0):
    """Tokens of T equal frames are those of the image, frame by frame and layer by layer."""
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    clips = images.unsqueeze(2).expand(-1, -1, num_frames, -1, -1)
    expected = tokens_of_layers(vit.blocks, lambda: vit(images))
    actual = tokens_of_layers(model.backbone.transformer.resblocks, lambda: model(clips))
    assert len(actual) == len(expected) == len(vit.blocks)
    for ours, theirs in zip(actual, expected, strict=True):
        frames = theirs.unsqueeze(1).expand(-1, ours.shape[1], -1, -1)
        torch.testing.assert_close(ours, frames, rtol=1e-4, atol=1e-4)
