"""Scores of views to scores of videos."""

import pytest
import torch

from slowfast.evaluation.views import combine_views

LOGITS = torch.tensor([[0.0, 4.0], [2.0, 0.0], [1.0, 1.0], [5.0, 5.0], [0.0, 1.0], [3.0, 0.0]])  # 2 videos, 3 views


def test_raw_scores_are_averaged_over_the_views_of_a_video():
    scores = combine_views(LOGITS, 3, has_probabilities=False, method="sum")
    torch.testing.assert_close(scores, torch.tensor([[1.0, 5 / 3], [8 / 3, 2.0]]))


def test_softmax_comes_before_the_average():
    scores = combine_views(LOGITS, 3, has_probabilities=True, method="sum")
    torch.testing.assert_close(scores, torch.stack([LOGITS[:3].softmax(1).mean(0), LOGITS[3:].softmax(1).mean(0)]))
    torch.testing.assert_close(scores.sum(1), torch.ones(2))


def test_with_several_labels_a_video_each_class_is_a_sigmoid():
    scores = combine_views(LOGITS, 3, has_probabilities=True, method="sum", is_multi_label=True)
    expected = 1 / (1 + (-LOGITS).exp())
    torch.testing.assert_close(scores, torch.stack([expected[:3].mean(0), expected[3:].mean(0)]))
    assert scores[1, 0] > 0.8 and scores[1, 1] > 0.6  # 0.815 and 0.741: one does not lessen the other


def test_raw_scores_of_several_labels_a_video_are_logits():
    arguments = {"has_probabilities": False, "method": "max"}
    assert torch.equal(
        combine_views(LOGITS, 3, **arguments, is_multi_label=True), combine_views(LOGITS, 3, **arguments)
    )


def test_the_maximum_over_views_may_be_taken_instead():
    assert combine_views(LOGITS, 3, has_probabilities=False, method="max").tolist() == [[2.0, 4.0], [5.0, 5.0]]


def test_a_single_view_is_the_videos_score():
    assert torch.equal(combine_views(LOGITS, 1, has_probabilities=False, method="sum"), LOGITS)


def test_half_precision_is_averaged_in_float32():
    logits = torch.full((3, 2), 60000.0, dtype=torch.float16)  # their sum overflows
    scores = combine_views(logits, 3, has_probabilities=False, method="sum")
    assert scores.dtype == torch.float32 and scores.tolist() == [[60000.0, 60000.0]]


def test_views_must_fill_whole_videos():
    with pytest.raises(RuntimeError):
        combine_views(LOGITS, 4, has_probabilities=False, method="sum")


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match=r"DATA\.ENSEMBLE_METHOD 'median' is not a method; accepted: sum, max"):
        combine_views(LOGITS, 3, has_probabilities=False, method="median")
