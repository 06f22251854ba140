"""Token pruning by the attention that a class token pays to each token (Evo-ViT, arXiv 2108.01390).

A score per token says how much the class token attended to it so far. The tokens of high score are updated by a whole
block; the others are merged to one representative token, and what the block adds to it is added to each of them. No
token is lost, and none leaves its place.

Scores and ranks are arguments and results, never state: two models, two threads, or a forward and its recomputation
cannot mix them up. Ranks are int64 and scores float32 (or float64), whatever autocast does to the tokens.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.models.reference import FastPrimitive

# Takes tokens (N, K, C); returns their new values, the attention of the first to the others (N, K - 1), and what was
# added to the last one (N, 1, C).
Update = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def rank_tokens(score: Tensor) -> Tensor:
    """The places of tokens from the highest score to the lowest.

    Args:
        score: (N, L).

    Returns:
        int64 (N, L), each row a permutation of 0 to L - 1.
    """
    return score.detach().topk(score.shape[1], dim=1).indices  # ONNX has no other sort


def updated_score(score: Tensor | None, attention: Tensor, trade_off: float) -> Tensor:
    """Move scores towards the newest attention by ``trade_off``; without a score yet, it is the attention.

    Args:
        score: (N, L) or None.
        attention: of the class token, (N, L).
        trade_off: in [0, 1]; 1 forgets the old score.
    """
    return attention if score is None else (1 - trade_off) * score + trade_off * attention


def halved_score(score: Tensor, size: tuple[int, int, int]) -> Tensor:
    """The score of a grid of half the height and width: the mean over 2 x 2 tokens, scaled to keep the sum.

    Args:
        score: (N, L), L = T * H * W, time slowest.
        size: (T, H, W), H and W even.

    Returns:
        (N, T * H / 2 * W / 2).
    """
    grid = F.avg_pool2d(score.unflatten(1, size), kernel_size=2).flatten(1)
    return grid * (score.sum(1, keepdim=True) / grid.sum(1, keepdim=True))


class _Pruning(nn.Module):
    """What the fast formulation and its reference are told."""

    def __init__(self, keep_ratio: float, trade_off: float) -> None:
        super().__init__()
        self.keep_ratio = keep_ratio
        self.trade_off = trade_off

    def extra_repr(self) -> str:
        return f"keep_ratio={self.keep_ratio:g}, trade_off={self.trade_off:g}"


class TokenPruning(FastPrimitive, _Pruning):
    """Update the tokens of high score, and all others alike.

    The whole token tensor is read twice, to merge and to add, and never put into another order: the kept rows alone are
    taken out and put back.

    Args:
        keep_ratio: share of the tokens that are kept, in (0, 1).
        trade_off: see ``updated_score``.
    """

    def forward(
        self, tokens: Tensor, class_token: Tensor, score: Tensor, order: Tensor, update: Update
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Prune, update and put back.

        Args:
            tokens: (N, L, C).
            class_token: (N, 1, C).
            score: float32 or float64 (N, L).
            order: int64 (N, L), the places of the tokens from the most to the least important.
            update: of the class token, the kept tokens and the representative one, in this order.

        Returns:
            Tokens, class token and score; each token is in its old place.
        """
        num_tokens = tokens.shape[1]
        kept = order[:, : num_kept(num_tokens, self.keep_ratio)]
        weights = score.scatter(1, kept, 0.0)
        representative = _weighted_sum(tokens, weights / weights.sum(1, keepdim=True))
        rows = (kept + num_tokens * torch.arange(kept.shape[0], device=kept.device).unsqueeze(1)).flatten()
        informative = _take(tokens, rows, kept.shape[1])
        class_token, informative, attention, step = _updated(class_token, informative, representative, update)
        tokens = tokens + step
        tokens = _put(tokens, rows, informative.to(tokens.dtype))
        score = score.scatter(1, kept, updated_score(score.gather(1, kept), attention, self.trade_off))
        return tokens, class_token, score

    def reference(self) -> nn.Module:
        """The published formulation, which sorts all tokens, and sorts them back."""
        return SortedTokenPruning(self.keep_ratio, self.trade_off)


class SortedTokenPruning(_Pruning):
    """The reference of ``TokenPruning``, of the same arguments: all tokens are sorted, pruned, and sorted back."""

    def forward(
        self, tokens: Tensor, class_token: Tensor, score: Tensor, order: Tensor, update: Update
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As ``TokenPruning.forward``."""
        num_informative = num_kept(tokens.shape[1], self.keep_ratio)
        tokens, score = _sorted(tokens, order), score.gather(1, order)
        informative, dropped = tokens[:, :num_informative], tokens[:, num_informative:]
        weights = score[:, num_informative:]
        weights = weights / weights.sum(1, keepdim=True)
        representative = (weights.unsqueeze(-1) * dropped).sum(1, keepdim=True).to(tokens.dtype)
        class_token, informative, attention, step = _updated(class_token, informative, representative, update)
        tokens = torch.cat([informative, dropped + step], dim=1)
        new_score = updated_score(score[:, :num_informative], attention, self.trade_off)
        score = torch.cat([new_score, score[:, num_informative:]], dim=1)
        back = torch.empty_like(order).scatter(
            1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
        )
        return _sorted(tokens, back), class_token, score.gather(1, back)


def num_kept(num_tokens: int, keep_ratio: float) -> int:
    """Tokens that stay, rounded down; below a ratio of 1 at least one token is pruned."""
    return int(num_tokens * keep_ratio)


def _updated(
    class_token: Tensor, informative: Tensor, representative: Tensor, update: Update
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """New class token and informative tokens, the attention to the latter, and what the representative one gains."""
    sequence, attention, step = update(torch.cat([class_token, informative, representative], dim=1))
    return sequence[:, :1], sequence[:, 1:-1], attention[:, :-1], step


def _weighted_sum(tokens: Tensor, weights: Tensor) -> Tensor:
    """Sum tokens (N, L, C) by weights (N, L) to (N, 1, C), in the weights' precision."""
    with torch.autocast(tokens.device.type, enabled=False):
        return (weights.unsqueeze(1) @ tokens.to(weights.dtype)).to(tokens.dtype)


def _take(tokens: Tensor, rows: Tensor, num_rows: int) -> Tensor:
    """Rows (N * K,) of N * L tokens, as (N, K, C)."""
    return tokens.flatten(0, 1).index_select(0, rows).unflatten(0, (tokens.shape[0], num_rows))


def _put(tokens: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """The mirror image of ``_take``."""
    return tokens.flatten(0, 1).index_copy(0, rows, values.flatten(0, 1)).view(tokens.shape)


def _sorted(tokens: Tensor, order: Tensor) -> Tensor:
    return tokens.gather(1, order.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
