"""Videos of several tests in one order, whatever orders they come in."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slowfast.errors import UserError
from slowfast.evaluation.report_files import ScoredVideos
from slowfast.evaluation.several.alignment import align

NAMES = ["left", "right", "up"]
REPEATING = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12)


def videos(paths: list[str], labels: list[int] | None = None, *, offset: float = 0.0) -> ScoredVideos:
    """Scores that tell the row: row + offset for class 0."""
    labels = [len(path) % 3 for path in paths] if labels is None else labels
    scores = torch.zeros(len(paths), 3)
    scores[:, 0] = torch.arange(len(paths)) + offset
    return ScoredVideos(paths, torch.tensor(labels), scores, scores.softmax(dim=1), NAMES)


def shuffled(test: ScoredVideos, order: list[int]) -> ScoredVideos:
    rows = torch.tensor(order)
    parts = (part[rows] for part in (test.labels, test.scores, test.probabilities))
    return ScoredVideos([test.paths[row] for row in order], *parts, test.class_names)


@given(st.lists(st.text(max_size=3), min_size=1, max_size=12, unique=True), st.data())
def test_any_order_is_brought_into_the_first_ones(paths: list[str], data: st.DataObject):
    first = videos(paths)
    order = data.draw(st.permutations(range(len(paths))))
    one, other = align("ab", [first, shuffled(first, order)]).videos
    for test in (one, other):
        assert test.paths == paths and test.class_names == NAMES
        assert all(map(torch.equal, (test.labels, test.scores), (first.labels, first.scores)))
        assert torch.equal(test.probabilities, first.probabilities)


@given(
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12),
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12),
)
def test_the_videos_in_common_are_counted(some: list[str], others: list[str]):
    shared = [path for path in some if some.count(path) == others.count(path)]
    tests = [videos(some), videos(others)]
    if not shared:
        with pytest.raises(UserError, match="has no scored video that is in B, too"):
            align(["A", "B"], tests, in_common=True)
        return
    aligned = align(["A", "B"], tests, in_common=True)
    assert [list(test.paths) for test in aligned.videos] == [shared, shared]
    assert list(aligned.num_left_out) == [len(some) - len(shared), len(others) - len(shared)]
    for test, whole in zip(aligned.videos, tests, strict=True):
        rows = test.scores[:, 0].int().tolist()
        assert [whole.paths[row] for row in rows] == shared and len(set(rows)) == len(rows)
        for path in set(shared):  # the first of a path is the first in both
            assert [row for row in rows if whole.paths[row] == path] == [
                row for row, name in enumerate(whole.paths) if name == path
            ]


def test_other_lists_are_refused_by_name():
    with pytest.raises(UserError) as error:
        align(["A", "B"], [videos(["a", "b", "c"]), videos(["b", "x", "y", "c"])])
    assert str(error.value) == (
        "B: its scored videos are not those of A: 1 only in A (such as a), 2 only in B (such as x); the lists have to "
        "be the same, with the same paths"
    )
    with pytest.raises(UserError, match=r"C: its scored videos .* 1 only in A \(such as b\)"):
        align(["A", "B", "C"], [videos(["a", "b"]), videos(["b", "a"]), videos(["a"])])


@pytest.mark.parametrize("in_common", [False, True])
def test_a_test_without_a_scored_video_is_refused(in_common: bool):
    none = replace(videos([]), scores=torch.empty(0), class_names=None)
    with pytest.raises(UserError, match=r"^B: has no scored video$"):
        align(["A", "B"], [videos(["a"]), none], in_common=in_common)


def test_other_labels_are_refused_by_name():
    with pytest.raises(UserError) as error:
        align(["A", "B"], [videos(["a", "b"], [0, 1]), videos(["b", "a"], [2, 0])])
    assert str(error.value) == (
        "B: 1 of its videos have other labels than in A, such as b: up, and right there; the lists have to be the same"
    )
    several = [replace(videos(["a"]), labels=torch.tensor([row])) for row in ([1.0, 0, 1], [0, 0, 0.0])]
    with pytest.raises(UserError, match="such as a: no class, and left, up there"):
        align(["A", "B"], several)


def test_other_classes_are_refused_by_name():
    one = videos(["a"])
    for other, told in (
        (replace(one, class_names=["left", "down", "up"]), "B: class 1 is 'down', and 'right' in A; they have to be"),
        (replace(one, scores=torch.zeros(1, 4), class_names=None), "B: has 4 classes, and A 3; they have to be"),
        (replace(one, labels=torch.ones(1, 3)), "A: has one label per video, and B several; they have to be the same"),
    ):
        with pytest.raises(UserError) as error:
            align(["A", "B"], [one, other])
        assert str(error.value).startswith(told)


def test_names_that_nobody_knew_agree_with_all():
    one, unnamed = videos(["a"]), replace(videos(["a"]), class_names=None)
    partly = replace(one, class_names=["class 0", "right", "class 2"])
    for tests in ([unnamed, one], [one, unnamed], [partly, one], [one, partly], [unnamed, partly, one]):
        assert align("abc"[: len(tests)], tests).videos[0].class_names == NAMES
    assert align("ab", [unnamed, unnamed]).videos[0].class_names is None
