"""Both families written down without regard to speed: what the models are checked, counted and timed against.

Convolutions are ``F.conv3d`` on the default layout, (N, C, T, H, W); attention is two matrix products around an
explicit softmax; the cross attention of UniFormerV2 projects every token to a key and a value. The functions read the
parameters of a built model, so that the two share nothing but weights. No dropout, no stochastic depth, no activation
checkpointing.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.models.layers import QuickGELU
from slowfast.models.uniformer import Uniformer
from slowfast.models.uniformer_blocks import Attention, GlobalBlock, LocalBlock
from slowfast.models.uniformerv2 import Uniformerv2
from slowfast.models.uniformerv2_blocks import CrossAttention, LocalTemporalAttention, LocalUniBlock, SelfAttention


def plain_forward(model: nn.Module, clips: Tensor, *, has_fused_vit_attention: bool = False) -> Tensor:
    """Logits (N, K) of clips (N, 3, T, H, W), float.

    Args:
        model: a Uniformer or a Uniformerv2; its own ``forward`` is not called.
        clips: as for the model.
        has_fused_vit_attention: the attention inside UniFormerV2's image ViT is one fused operation, as in the
            authors' code, which leaves it to ``nn.MultiheadAttention``. No effect on UniFormer.

    Raises:
        ValueError: if there is no plain formulation of the model.
    """
    if isinstance(model, Uniformer):
        return _plain_uniformer(model, clips)
    if isinstance(model, Uniformerv2):
        return _plain_uniformerv2(model, clips, has_fused_vit_attention)
    raise ValueError(f"no plain formulation of a {type(model).__name__}; there is one of Uniformer and Uniformerv2")


def softmax_attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """q: (B, heads, Lq, D); k and v: (B, heads, L, D); returns (B, Lq, heads * D)."""
    weights = (q @ k.transpose(-2, -1) * scale).softmax(dim=-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def _plain_conv(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """A convolution of stride 1 that keeps the size."""
    padding = [k // 2 for k in conv.kernel_size]
    return F.conv3d(x, conv.weight, conv.bias, padding=padding, groups=conv.groups)


# ---------------------------------------------------------------- UniFormer


def _plain_uniformer(model: Uniformer, clips: Tensor) -> Tensor:
    x = clips
    for stage in range(1, 5):
        embed = getattr(model, f"patch_embed{stage}")
        x = F.conv3d(x, embed.proj.weight, embed.proj.bias, embed.proj.stride, embed.proj.padding)
        x = embed.norm(x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3).contiguous()
        for block in getattr(model, f"blocks{stage}"):
            x = _plain_local_block(block, x) if stage <= 2 else _plain_global_block(block, x)
    return model.head(model.norm(x).flatten(2).mean(-1))


def _plain_local_block(block: LocalBlock, x: Tensor) -> Tensor:
    x = x + _plain_conv(block.pos_embed, x)
    value = _plain_conv(block.conv1, block.norm1(x))
    x = x + _plain_conv(block.conv2, _plain_conv(block.attn, value))
    return x + _plain_conv(block.mlp.fc2, F.gelu(_plain_conv(block.mlp.fc1, block.norm2(x))))


def _plain_global_block(block: GlobalBlock, x: Tensor) -> Tensor:
    x = x + _plain_conv(block.pos_embed, x)
    n, c, t, h, w = x.shape
    if block.split:
        columns = x.permute(0, 3, 4, 2, 1).reshape(n * h * w, t, c)
        columns = columns + _plain_attention(block.t_attn, block.t_norm(columns))
        frames = columns.reshape(n, h * w, t, c).transpose(1, 2).reshape(n * t, h * w, c)
        update = _plain_attention(block.attn, block.norm1(frames)).reshape(n, t * h * w, c)
        x = x.flatten(2).transpose(1, 2) + update  # the residual of before the temporal attention
    else:
        x = x.flatten(2).transpose(1, 2)
        x = x + _plain_attention(block.attn, block.norm1(x))
    x = x + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))
    return x.transpose(1, 2).reshape(n, c, t, h, w)


def _plain_attention(attention: Attention, x: Tensor) -> Tensor:
    b, length, c = x.shape
    head_dim = attention.head_dim
    qkv = attention.qkv(x).reshape(b, length, 3, c // head_dim, head_dim)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    scale = attention.scale if attention.scale is not None else head_dim**-0.5
    return attention.proj(softmax_attention(q, k, v, scale))


# ---------------------------------------------------------------- UniFormerV2


def _plain_uniformerv2(model: Uniformerv2, clips: Tensor, has_fused_vit_attention: bool) -> Tensor:
    backbone, transformer = model.backbone, model.backbone.transformer
    conv = backbone.conv1
    x = F.conv3d(clips, conv.weight, None, conv.stride, conv.padding)
    n, c, t, h, w = x.shape
    x = x.permute(0, 2, 3, 4, 1).reshape(n * t, h * w, c)
    x = torch.cat([backbone.class_embedding.expand(n * t, 1, c), x], dim=1) + backbone.positions(h)
    x = backbone.ln_pre(x)  # (N * T, L, C), the class token first
    query = transformer.temporal_cls_token.expand(n, 1, c)
    global_blocks = iter(zip(transformer.dpe, transformer.dec, strict=True))
    for layer_idx, block in enumerate(transformer.resblocks):
        x = _plain_vit_block(block, x, t, has_fused_vit_attention)
        if layer_idx in transformer.return_list:
            dpe, global_block = next(global_blocks)
            tokens = _add_to_patches(x, t, lambda volume, dpe=dpe: _plain_conv(dpe, volume)).reshape(n, -1, c)
            tokens, normed_query = global_block.ln_3(tokens), global_block.ln_1(query)
            query = query + plain_cross_attention(global_block.attn, normed_query, tokens)
            query = query + _plain_feed_forward(global_block.mlp, global_block.ln_2(query))
    z = query.squeeze(1)
    if transformer.balance is not None:
        share = transformer.balance.sigmoid()
        z = (1 - share) * z + share * x[:, 0].reshape(n, t, c).mean(1)
    norm, _dropout, head = transformer.proj
    return head(norm(z))


def _plain_vit_block(block: LocalUniBlock, x: Tensor, num_frames: int, has_fused_attention: bool) -> Tensor:
    """x: (N * T, L, C)."""
    if block.lmhra1 is not None:
        x = _add_to_patches(x, num_frames, lambda volume: _plain_local_attention(block.lmhra1, volume))
    x = x + _plain_self_attention(block.attn, block.ln_1(x), has_fused_attention)
    if block.lmhra2 is not None:
        x = _add_to_patches(x, num_frames, lambda volume: _plain_local_attention(block.lmhra2, volume))
    return x + _plain_feed_forward(block.mlp, block.ln_2(x))


def _plain_local_attention(attention: LocalTemporalAttention, volume: Tensor) -> Tensor:
    norm, reduce, conv, expand = attention.pos_embed
    return _plain_conv(expand, _plain_conv(conv, _plain_conv(reduce, norm(volume))))


def _add_to_patches(x: Tensor, num_frames: int, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Add ``function`` of the patch volume (N, C, T, H, W) to the patch tokens of x (N * T, L, C)."""
    _, length, c = x.shape
    side = round((length - 1) ** 0.5)
    patches = x[:, 1:]
    volume = patches.reshape(-1, num_frames, side, side, c).permute(0, 4, 1, 2, 3).contiguous()
    update = function(volume).permute(0, 2, 3, 4, 1).reshape(patches.shape)
    return torch.cat([x[:, :1], patches + update], dim=1)


def _plain_self_attention(attention: SelfAttention, x: Tensor, is_fused: bool) -> Tensor:
    q, k, v = _heads(attention, x, x)
    if is_fused:
        return attention.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
    return attention.out_proj(softmax_attention(q, k, v, q.shape[-1] ** -0.5))


def plain_cross_attention(attention: CrossAttention, query: Tensor, tokens: Tensor) -> Tensor:
    """query: (N, 1, C); tokens: (N, L, C), each projected to a key and a value; returns (N, 1, C)."""
    q, k, v = _heads(attention, query, tokens)
    return attention.out_proj(softmax_attention(q, k, v, q.shape[-1] ** -0.5))


def _heads(attention: SelfAttention | CrossAttention, query: Tensor, tokens: Tensor) -> list[Tensor]:
    """Queries of ``query``, keys and values of ``tokens``: three of (B, heads, L, C / heads)."""
    weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    sources = (query, tokens, tokens)
    projected = (F.linear(x, w, b) for x, w, b in zip(sources, weights, biases, strict=True))
    return [x.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for x in projected]


def _plain_feed_forward(mlp: nn.Sequential, x: Tensor) -> Tensor:
    x = mlp.c_fc(x)
    x = x * torch.sigmoid(1.702 * x) if isinstance(mlp.gelu, QuickGELU) else F.gelu(x)
    return mlp.c_proj(x)
