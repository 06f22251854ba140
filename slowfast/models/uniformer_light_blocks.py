"""The stem and the pruned global block of UniFormer's lightweight models.

Parameter names are those of the published checkpoints. Volumes are (N, C, T, H, W), channels-last in memory; see
``slowfast.models.uniformer``.
"""

import torch
from torch import Tensor, nn

from slowfast.models.batch_norm import FoldableNorms, normed_conv
from slowfast.models.depthwise import DepthwiseConv3d
from slowfast.models.layers import DotProductAttention, DropPath, FusedAttention
from slowfast.models.reference import FastPrimitive
from slowfast.models.strided_conv import StridedConv3d
from slowfast.models.token_pruning import TokenPruning, halved_score, rank_tokens, updated_score
from slowfast.models.uniformer_blocks import Attention, Mlp, plus_scaled


class ConvStem(FastPrimitive, FoldableNorms, nn.Module):
    """The first patch embedding: two 3x3x3 convolutions, each with BatchNorm, which halve height and width twice and
    time once.

    In evaluation the BatchNorm layers are a part of the convolutions before them.
    """

    norm_writers = (("proj.1", "proj.0"), ("proj.4", "proj.3"))

    def __init__(self, in_channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            StridedConv3d(in_channels, dim // 2, stride_t=1),
            nn.BatchNorm3d(dim // 2),
            nn.GELU(),
            StridedConv3d(dim // 2, dim, stride_t=2),
            nn.BatchNorm3d(dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, T, H, W); returns (N, dim, T / 2, H / 4, W / 4), channels-last in memory."""
        first, first_norm, gelu, second, second_norm = self.proj
        x = normed_conv(x.contiguous(memory_format=torch.channels_last_3d), first, first_norm)
        # GELU has a fast kernel for contiguous memory alone.
        x = gelu(x.movedim(1, -1)).movedim(-1, 1)
        return normed_conv(x, second, second_norm)

    def reference(self) -> nn.Module:
        """The layers one after the other."""
        return PlainConvStem(self.proj)


class PlainConvStem(FoldableNorms, nn.Module):
    """The reference of ``ConvStem``, whose layers it takes over."""

    norm_writers = ConvStem.norm_writers

    def __init__(self, proj: nn.Sequential) -> None:
        super().__init__()
        self.proj = proj

    def forward(self, x: Tensor) -> Tensor:
        """As ``ConvStem.forward``."""
        return self.proj(x.contiguous(memory_format=torch.channels_last_3d))


class FusedScoringAttention(FusedAttention):
    """Attention in one kernel, and beside it what the first query, the class token's, pays to the others.

    Args:
        scale, dropout_rate: as for ``FusedAttention``; dropout does not touch the class token's attention.
    """

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """q, k, v: (B, heads, L, head_dim).

        Returns:
            What ``FusedAttention`` does, and the mean over the heads of the first token's attention weights to the
            others, (B, L - 1), float32 at least.
        """
        scale = q.shape[-1] ** -0.5 if self.scale is None else self.scale
        with torch.autocast(q.device.type, enabled=False):
            scores = at_least_float32(q[:, :, :1]) @ at_least_float32(k).transpose(-2, -1)
        weights = (scores * scale).softmax(dim=-1)
        return super().forward(q, k, v), weights[:, :, 0, 1:].mean(1)

    def reference(self) -> nn.Module:
        """Two products around a softmax, one of whose rows is the class token's."""
        return DotProductScoringAttention(self.scale, self.dropout_rate)


class DotProductScoringAttention(DotProductAttention):
    """The reference of ``FusedScoringAttention``, of the same arguments."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """As ``FusedScoringAttention.forward``."""
        weights = self.weights(q, k)
        return self.dropout(weights) @ v, at_least_float32(weights[:, :, 0, 1:]).mean(1)


class ScoringAttention(Attention):
    """Multi-head self-attention over a class token and others, which tells what the class token attended to.

    Args:
        keeps_float32: leave the attention itself in float32 under autocast.
        dim, attention: as for ``Attention``.
    """

    def __init__(self, dim: int, *, keeps_float32: bool, **attention: float | bool | None) -> None:
        super().__init__(dim, **attention)
        self.keeps_float32 = keeps_float32
        self.attend = FusedScoringAttention(self.attend.scale, self.attend.dropout_rate)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, L, C), the class token first; returns the same shape, and (B, L - 1) as ``FusedScoringAttention``."""
        q, k, v = self.heads(x)
        if self.keeps_float32:
            with torch.autocast(x.device.type, enabled=False):
                attended, class_attention = self.attend(*map(at_least_float32, (q, k, v)))
        else:
            attended, class_attention = self.attend(q, k, v)
        return self.project(attended.to(v.dtype)), class_attention


class PrunedGlobalBlock(nn.Module):
    """DPE, global MHRA and FFN over a class token and the tokens that matter most to it.

    Args:
        dim: channels.
        keep_ratio: share of the tokens that the block updates one by one, in (0, 1]; see ``token_pruning``.
        trade_off: weight of the block's own attention in the score that it hands on, in [0, 1].
        mlp_ratio: hidden channels of the FFN / ``dim``.
        dropout_rate: of the FFN and of the attention's output.
        drop_path_rate: of the class token and the kept tokens; tokens that were merged are not dropped, as published.
        layer_scale: start of the LayerScale of both branches; None has none.
        attention: further arguments of ``ScoringAttention``.

    Attributes:
        halves_score: hand the score on for a grid of half the height and width, as the next stage has it.
    """

    def __init__(
        self,
        dim: int,
        *,
        keep_ratio: float,
        trade_off: float,
        mlp_ratio: float,
        dropout_rate: float,
        drop_path_rate: float,
        layer_scale: float | None,
        **attention: float | bool | None,
    ) -> None:
        super().__init__()
        self.trade_off = trade_off
        self.halves_score = False
        for name in ("gamma_1", "gamma_2"):
            gamma = None if layer_scale is None else nn.Parameter(torch.full((dim,), layer_scale))
            self.register_parameter(name, gamma)
        self.pos_embed = DepthwiseConv3d(dim, kernel_size=3)
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = ScoringAttention(dim, dropout_rate=dropout_rate, **attention)
        self.drop_path = DropPath(drop_path_rate)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, ratio=mlp_ratio, dropout_rate=dropout_rate)
        self.prune = TokenPruning(keep_ratio, trade_off) if keep_ratio < 1 else None

    def forward(
        self, x: Tensor, class_token: Tensor, score: Tensor | None, order: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One block.

        Args:
            x: (N, C, T, H, W).
            class_token: (N, 1, C).
            score: of the tokens, (N, L), L = T * H * W; None if there is none yet, which a block that prunes does not
                take.
            order: int64 (N, L), the tokens' places by falling score; None as above.

        Returns:
            The same four for the next block, all there; score and order of L / 4 tokens with ``halves_score``.
        """
        x = x + self.pos_embed(x)
        size = x.shape[2:]
        tokens = x.movedim(1, -1).flatten(1, 3)  # (N, L, C), time slowest
        if self.prune is None:
            sequence, attention, _ = self._update(torch.cat([class_token, tokens], dim=1))
            class_token, tokens = sequence[:, :1], sequence[:, 1:]
            score = updated_score(score, attention, self.trade_off)
        else:
            tokens, class_token, score = self.prune(tokens, class_token, score, order, self._update)
        x = tokens.unflatten(1, size).movedim(-1, 1)
        if self.halves_score:
            score = halved_score(score, size)
        return x, class_token, score, rank_tokens(score)

    def _update(self, sequence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Global MHRA and FFN of a sequence (N, L, C) that the class token begins.

        Returns:
            The new sequence, the class token's attention (N, L - 1), and what both branches added to the last token,
            (N, 1, C), before stochastic depth.
        """
        attended, attention = self.attn(self.norm1(sequence))
        sequence = plus_scaled(sequence, self.drop_path(attended), self.gamma_1)
        fed = self.mlp(self.norm2(sequence))
        step = attended[:, -1:] if self.gamma_1 is None else self.gamma_1 * attended[:, -1:]
        step = plus_scaled(step, fed[:, -1:], self.gamma_2)
        return plus_scaled(sequence, self.drop_path(fed), self.gamma_2), attention, step


def at_least_float32(x: Tensor) -> Tensor:
    """float16 and bfloat16 as float32; other types as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
