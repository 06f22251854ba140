"""UniFormer written down without regard to speed: what the model is checked, and its speed measured, against.

Convolutions on (N, C, T, H, W), attention by an explicit softmax. The functions read the parameters of a built
``Uniformer``, so that the two share nothing but weights. No dropout, no stochastic depth.
"""

import torch.nn.functional as F
from torch import Tensor

from slowfast.models.uniformer import Uniformer
from slowfast.models.uniformer_blocks import Attention, GlobalBlock, LocalBlock


def plain_forward(model: Uniformer, clips: Tensor) -> Tensor:
    """Logits (N, K) of clips (N, C, T, H, W)."""
    x = clips
    for stage in range(1, 5):
        embed = getattr(model, f"patch_embed{stage}")
        x = F.conv3d(x, embed.proj.weight, embed.proj.bias, embed.proj.stride, embed.proj.padding)
        x = embed.norm(x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3).contiguous()
        for block in getattr(model, f"blocks{stage}"):
            x = plain_local(block, x) if stage <= 2 else plain_global(block, x)
    return model.head(model.norm(x).flatten(2).mean(-1))


def plain_conv(conv, x: Tensor) -> Tensor:
    padding = [k // 2 for k in conv.kernel_size]
    return F.conv3d(x, conv.weight, conv.bias, padding=padding, groups=conv.groups)


def plain_local(block: LocalBlock, x: Tensor) -> Tensor:
    x = x + plain_conv(block.pos_embed, x)
    value = plain_conv(block.conv1, block.norm1(x))
    x = x + plain_conv(block.conv2, plain_conv(block.attn, value))
    return x + plain_conv(block.mlp.fc2, F.gelu(plain_conv(block.mlp.fc1, block.norm2(x))))


def plain_global(block: GlobalBlock, x: Tensor) -> Tensor:
    x = x + plain_conv(block.pos_embed, x)
    n, c, t, h, w = x.shape
    if block.split:
        columns = x.permute(0, 3, 4, 2, 1).reshape(n * h * w, t, c)
        columns = columns + plain_attention(block.t_attn, block.t_norm(columns))
        frames = columns.reshape(n, h * w, t, c).transpose(1, 2).reshape(n * t, h * w, c)
        update = plain_attention(block.attn, block.norm1(frames)).reshape(n, t * h * w, c)
        x = x.flatten(2).transpose(1, 2) + update  # the residual of before the temporal attention
    else:
        x = x.flatten(2).transpose(1, 2)
        x = x + plain_attention(block.attn, block.norm1(x))
    x = x + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))
    return x.transpose(1, 2).reshape(n, c, t, h, w)


def plain_attention(attention: Attention, x: Tensor) -> Tensor:
    b, length, c = x.shape
    head_dim = attention.head_dim
    qkv = attention.qkv(x).reshape(b, length, 3, c // head_dim, head_dim)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    scale = attention.scale if attention.scale is not None else head_dim**-0.5
    weights = (q @ k.transpose(-2, -1) * scale).softmax(dim=-1)
    return attention.proj((weights @ v).transpose(1, 2).reshape(b, length, c))
