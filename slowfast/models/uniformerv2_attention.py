"""The attentions of UniFormerV2 (arXiv 2211.09552, section 3): of a ViT block and of a global UniBlock.

Parameter names are those of the published checkpoints.
"""

from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.models.layers import DotProductAttention, FusedAttention
from slowfast.models.reference import FastPrimitive, plain_linear


class _AttentionProjections(nn.Module):
    """Query, key and value projection in one matrix and an output projection, stored as nn.MultiheadAttention does."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        assert dim % num_heads == 0, f"{num_heads} heads of width {dim}"  # the rules of the config check it
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)


class SelfAttention(FastPrimitive, _AttentionProjections):
    """Multi-head self-attention among the tokens of one frame, GS_MHRA in the paper."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__(dim, num_heads)
        self.attend = FusedAttention(is_fused_upstream=True)  # that of nn.MultiheadAttention

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, L, C); returns (B, L, C)."""
        q, k, v = _heads(F.linear(x, self.in_proj_weight, self.in_proj_bias), 3, self.num_heads)
        return self.out_proj(self.attend(q, k, v).transpose(1, 2).flatten(2))

    def reference(self) -> nn.Module:
        """The projection of queries, keys and values as one ``nn.Linear``."""
        return PlainSelfAttention(self)


class CrossAttention(FastPrimitive, _AttentionProjections):
    """Attention of one query token to all tokens of a video, C_MHRA in the paper.

    With one query, keys and values need not be computed for every token. A score is q . (W_k y + b_k) =
    (W_k^T q) . y + q . b_k, whose second term is the same for all tokens and cancels in the softmax; and the weights
    of a head sum to one, so that its output is W_v (sum_i a_i y_i) + b_v. Both products with y act on C channels per
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

    def reference(self) -> nn.Module:
        """The published form, not folded: every token is projected to a key and a value."""
        return PlainCrossAttention(self)


def _heads(x: Tensor, num_parts: int, num_heads: int) -> Tensor:
    """(B, L, parts * C) to (parts, B, heads, L, C / heads)."""
    return x.unflatten(-1, (num_parts, num_heads, -1)).permute(2, 0, 3, 1, 4)


class _PlainAttention(nn.Module):
    """Attention whose input projections are ``nn.Linear`` layers, saved and loaded as the rows of one matrix.

    Args:
        fast: whose parts it takes over.
        projections: the layers by name, in the order of the rows of ``in_proj_weight``.
    """

    def __init__(self, fast: _AttentionProjections, projections: dict[str, nn.Linear]) -> None:
        super().__init__()
        self.num_heads = fast.num_heads
        self.num_rows = {name: layer.out_features for name, layer in projections.items()}
        for name, layer in projections.items():
            self.add_module(name, layer)
        self.out_proj = fast.out_proj
        self.register_state_dict_post_hook(_join_projections)
        self.register_load_state_dict_pre_hook(_split_projections)


def _join_projections(module: _PlainAttention, state_dict: dict[str, Tensor], prefix: str, _metadata: Any) -> None:
    """Give the projections that are saved their published key, in its place, unless they were exchanged since."""
    own = {key: state_dict.pop(key) for key in list(state_dict) if key.startswith(prefix)}
    for kind in ("weight", "bias"):
        keys = [f"{prefix}{name}.{kind}" for name in module.num_rows]
        if own.keys() >= set(keys):
            parts = [own.pop(key) for key in keys]
            state_dict[f"{prefix}in_proj_{kind}"] = torch.cat(parts) if len(parts) > 1 else parts[0]
    state_dict.update(own)


def _split_projections(module: _PlainAttention, state_dict: dict[str, Tensor], prefix: str, *_args: Any) -> None:
    """Hand each projection its rows of what is loaded; rows that do not fit, its own check reports."""
    ends = list(accumulate(module.num_rows.values()))
    for kind in ("weight", "bias"):
        if (rows := state_dict.pop(f"{prefix}in_proj_{kind}", None)) is not None:
            for name, part in zip(module.num_rows, rows.tensor_split(ends[:-1]), strict=True):
                state_dict[f"{prefix}{name}.{kind}"] = part


class PlainSelfAttention(_PlainAttention):
    """The reference of ``SelfAttention``."""

    def __init__(self, fast: SelfAttention) -> None:
        super().__init__(fast, {"in_proj": plain_linear(fast.in_proj_weight, fast.in_proj_bias)})
        self.attend = fast.attend

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, L, C); returns (B, L, C)."""
        q, k, v = _heads(self.in_proj(x), 3, self.num_heads)
        return self.out_proj(self.attend(q, k, v).transpose(1, 2).flatten(2))


class PlainCrossAttention(_PlainAttention):
    """The reference of ``CrossAttention``. Two layers project its two inputs: one for both would compute in vain."""

    def __init__(self, fast: CrossAttention) -> None:
        dim = fast.in_proj_weight.shape[1]
        pairs = zip(fast.in_proj_weight.split([dim, 2 * dim]), fast.in_proj_bias.split([dim, 2 * dim]), strict=True)
        layers = [plain_linear(*(_parameter_like(fast.in_proj_weight, part) for part in pair)) for pair in pairs]
        super().__init__(fast, dict(zip(("q_proj", "kv_proj"), layers, strict=True)))
        self.attend = DotProductAttention()

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """query: (N, 1, C); tokens: (N, L, C); returns (N, 1, C)."""
        (q,) = _heads(self.q_proj(query), 1, self.num_heads)
        k, v = _heads(self.kv_proj(tokens), 2, self.num_heads)
        return self.out_proj(self.attend(q, k, v).transpose(1, 2).flatten(2))


def _parameter_like(whole: nn.Parameter, part: Tensor) -> nn.Parameter:
    return nn.Parameter(part.detach().clone(), requires_grad=whole.requires_grad)
