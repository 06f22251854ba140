"""Token pruning: every token keeps its place, whatever the number format, and the fast form is the published one."""

import pytest
import torch
from torch import Tensor

from slowfast.models.token_pruning import (
    SortedTokenPruning,
    TokenPruning,
    halved_score,
    num_kept,
    rank_tokens,
    updated_score,
)

XS_TOKENS = 16 * 12 * 12  # of UniFormer-XS 32x192 in stage 3

pytestmark = pytest.mark.usefixtures("one_thread")


def inputs(num_tokens: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tokens, class token, score and order of two videos."""
    torch.manual_seed(0)
    score = torch.rand(2, num_tokens).softmax(1)
    return torch.randn(2, num_tokens, 8, dtype=dtype), torch.randn(2, 1, 8, dtype=dtype), score, rank_tokens(score)


def attending_update(sequence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Something that depends on all tokens, as a block does."""
    step = 0.1 * sequence.softmax(dim=1) * sequence.mean(1, keepdim=True)
    return sequence + step, sequence[:, 1:, 0].float().softmax(1), step[:, -1:]


@pytest.mark.parametrize("keep_ratio", [0.5, 0.3, 0.01])
@pytest.mark.parametrize("num_tokens", [1, 2, 7, 100])
def test_the_fast_form_is_the_published_one(num_tokens, keep_ratio):
    given = [value.double().requires_grad_() if value.is_floating_point() else value for value in inputs(num_tokens)]
    pruning = TokenPruning(keep_ratio, 0.3)
    results = [each(*given, attending_update) for each in (pruning, pruning.reference())]
    torch.testing.assert_close(*results)
    gradients = [torch.autograd.grad(sum((x * x.detach()).sum() for x in result), given[:3]) for result in results]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("form", [TokenPruning, SortedTokenPruning])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_token_returns_to_its_own_place(form, dtype):
    """Numbers above 256 are not exact in bfloat16: a place that was kept among the features would move."""
    tokens, class_token, score, order = inputs(XS_TOKENS, dtype)
    assert order.dtype == torch.int64
    assert torch.equal(order.sort(dim=1).values, torch.arange(XS_TOKENS).expand(2, -1))
    with torch.autocast("cpu", torch.bfloat16):
        kept, _, new_score = form(0.5, 0.5)(
            tokens, class_token, score, order, lambda x: (x, torch.zeros(2, x.shape[1] - 1), torch.zeros_like(x[:, :1]))
        )
    assert torch.equal(kept, tokens)
    expected = score.scatter(1, order[:, : XS_TOKENS // 2], score.gather(1, order[:, : XS_TOKENS // 2]) / 2)
    assert torch.equal(new_score, expected)


def test_the_tokens_of_the_order_are_kept_even_where_scores_would_rank_others():
    """Recomputation takes the order of the forward, though another kernel may have rounded the score otherwise."""
    tokens, class_token, score, order = inputs(10)
    lengths = []

    def update(sequence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        lengths.append(sequence.shape[1])
        return sequence + 1, torch.zeros(2, sequence.shape[1] - 1), torch.zeros(2, 1, 8)

    pruned, _, _ = TokenPruning(0.5, 0.5)(tokens, class_token, score, order.flip(1), update)
    is_changed = (pruned != tokens).all(-1)
    assert lengths == [1 + 5 + 1]
    assert torch.equal(is_changed, torch.zeros(2, 10, dtype=torch.bool).scatter(1, order[:, 5:], True))


def test_tokens_that_are_not_kept_move_with_their_representative():
    tokens, class_token, score, order = inputs(10)
    step = torch.randn(2, 1, 8)
    seen = []

    def update(sequence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen.append(sequence[:, -1])
        return sequence, torch.zeros(2, sequence.shape[1] - 1), step

    pruned, _, _ = TokenPruning(0.4, 0.5)(tokens, class_token, score, order, update)
    for video in range(2):
        dropped = order[video, 4:]
        weights = score[video, dropped] / score[video, dropped].sum()
        torch.testing.assert_close(seen[0][video], weights @ tokens[video, dropped])
        torch.testing.assert_close(pruned[video, dropped], tokens[video, dropped] + step[video])
        torch.testing.assert_close(pruned[video, order[video, :4]], tokens[video, order[video, :4]])


def test_ranks_fall_with_the_score_and_hold_equal_ones_once_each():
    assert rank_tokens(torch.tensor([[1.0, 3.0, 2.0], [0.0, 0.5, 7.0]])).tolist() == [[1, 2, 0], [2, 1, 0]]
    (order,) = rank_tokens(torch.tensor([[1.0, 3.0, 1.0, 3.0]])).tolist()
    assert {*order[:2]} == {1, 3} and {*order[2:]} == {0, 2}


def test_the_score_of_a_coarser_grid_is_its_mean_scaled_to_the_old_sum():
    score = torch.rand(2, 3 * 4 * 6)
    halved = halved_score(score, (3, 4, 6))
    expected = score.view(2, 3, 2, 2, 3, 2).mean((3, 5)).flatten(1)
    torch.testing.assert_close(halved / halved.sum(1, keepdim=True), expected / expected.sum(1, keepdim=True))
    torch.testing.assert_close(halved.sum(1), score.sum(1))


def test_a_score_moves_by_its_trade_off():
    old, new = torch.rand(2, 4), torch.rand(2, 4)
    assert updated_score(None, new, 0.3) is new
    torch.testing.assert_close(updated_score(old, new, 0.3), 0.7 * old + 0.3 * new)
    torch.testing.assert_close(updated_score(old, new, 1), new)


def test_kept_tokens_are_rounded_down():
    assert [num_kept(7, ratio) for ratio in (0.5, 0.9, 0.1)] == [3, 6, 0]
