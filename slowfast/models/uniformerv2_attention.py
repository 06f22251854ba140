"""The attentions of UniFormerV2 (arXiv 2211.09552, section 3): of a ViT block and of a global UniBlock.

Parameter names are those of the published checkpoints.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _AttentionProjections(nn.Module):
    """Query, key and value projection in one matrix and an output projection, stored as nn.MultiheadAttention does."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"width {dim} is not divisible by {num_heads} heads")
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)


class SelfAttention(_AttentionProjections):
    """Multi-head self-attention among the tokens of one frame, GS_MHRA in the paper."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, L, C); returns (B, L, C)."""
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, heads, L, C / heads)
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class CrossAttention(_AttentionProjections):
    """Attention of one query token to all tokens of a video, C_MHRA in the paper.

    With one query, keys and values need not be computed for every token. A score is q . (W_k y + b_k) =
    (W_k^T q) . y + q . b_k, whose second term is the same for all tokens and cancels in the softmax; and the weights
    of a head sum to one, so that its output is W_v (sum_i a_i y_i) + b_v. Both products with y act on C channels a
    head, and the 2 * L * C^2 multiply-adds of the key and value projections are gone. b_k has no effect on the
    output (nor, hence, a gradient); it stays a parameter because checkpoints carry it.
    """

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """query: (N, 1, C); tokens: (N, L, C); returns (N, 1, C)."""
        w_q, w_k, w_v = self.in_proj_weight.chunk(3)
        b_q, _, b_v = self.in_proj_bias.chunk(3)
        q = F.linear(query, w_q, b_q).unflatten(-1, (self.num_heads, -1))  # (N, 1, heads, C / heads)
        scale = q.shape[-1] ** -0.5
        # The heads act as the queries of one C-wide attention: (N, 1, heads, C).
        folded = torch.einsum("nqhd,hdc->nqhc", q, w_k.unflatten(0, (self.num_heads, -1)))
        tokens = tokens.unsqueeze(1)  # (N, 1, L, C)
        pooled = F.scaled_dot_product_attention(folded, tokens, tokens, scale=scale)
        values = torch.einsum("nqhc,hdc->nqhd", pooled, w_v.unflatten(0, (self.num_heads, -1)))
        return self.out_proj(values.flatten(2) + b_v)
