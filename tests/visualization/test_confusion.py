"""Confusion matrices as pictures."""

import numpy as np
import pytest

from slowfast.visualization.confusion import draw_confusion


def test_the_share_of_a_class_is_its_shade():
    """Blue where all videos of the class are predicted so, white where none; classes may have no videos at all."""
    picture = draw_confusion(np.array([[3, 0, 0], [0, 0, 0], [7, 0, 0]]), ["a", "b", "$c_{"])
    assert picture.shape == (800, 800, 3) and picture.dtype == np.uint8
    is_dark = (picture[:, :500] == (8, 48, 107)).all(axis=2)  # the darkest blue; beside these columns stands the scale
    rows, columns = (np.unique(found) for found in is_dark.nonzero())
    side = np.ptp(columns) + 1
    assert is_dark[np.ix_(rows, columns)].all() and np.ptp(rows) + 1 == pytest.approx(3 * side, abs=3)
    assert len(rows) == pytest.approx(2 * side, abs=3)


def test_names_of_many_classes_are_left_out_and_long_ones_cut():
    confusion = np.eye(400, dtype=np.int64)
    many = draw_confusion(confusion, [f"class {label}" for label in range(400)])
    np.testing.assert_array_equal(many, draw_confusion(confusion, [f"other {label}" for label in range(400)]))
    short, long = ["x" * 23 + end for end in ("a", "b")], ["x" * 23 + end for end in ("ay", "az")]
    assert not np.array_equal(*(draw_confusion(np.eye(1, dtype=np.int64), [name]) for name in short))
    np.testing.assert_array_equal(*(draw_confusion(np.eye(1, dtype=np.int64), [name]) for name in long))
