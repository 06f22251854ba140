"""From a checkpoint's rows to ours, by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowfast.datasets.labels import class_key, load_label_list
from slowfast.models.weights.class_order import IMPLIED_LISTS, implied_list, match_classes

NAMES = st.lists(st.text(st.characters(max_codepoint=0x17F), max_size=6), unique=True, max_size=12)


@given(NAMES, st.randoms())
def test_a_permuted_list_is_mapped_back(names, random):
    theirs = random.sample(names, len(names))
    rows = match_classes(names, theirs, class_key)
    assert [theirs[row] for row in rows] == names


@given(NAMES, NAMES)
def test_a_match_is_the_same_name_or_the_same_key(ours, theirs):
    for name, row in zip(ours, match_classes(ours, theirs, class_key), strict=True):
        if name in theirs:
            assert theirs[row] == name
        elif row is not None:
            assert class_key(theirs[row]) == class_key(name)
            assert [class_key(other) for other in theirs].count(class_key(name)) == 1


def test_ambiguous_keys_match_nothing():
    assert match_classes(["Sipping cup", "sipping-cup"], ["sipping cup", "sipping_cup"], class_key) == [None, None]


@pytest.mark.parametrize("origin", ["authors", "mmaction2"])
def test_implied_lists_have_their_length(origin):
    for num_classes, lists in IMPLIED_LISTS[origin].items():
        for name in lists:
            assert len(load_label_list(name)) == num_classes


@pytest.mark.parametrize(
    ("origin", "num_classes", "source", "expected"),
    [
        ("authors", 400, "k400/k400_uniformerv2_b16_8x224.pyth", "kinetics400_uniformer"),
        ("authors", 710, "https://a.org/k710_uniformerv2_b16_8x224.pyth", "kinetics710_uniformer"),
        ("authors", 700, "k700_uniformerv2_b16_8x224.pyth", None),
        ("mmaction2", 700, "uniformerv2-base_kinetics700-rgb_20221219-8a7c4ac4.pth", "kinetics700_alphabetical"),
        ("authors", 339, "mit_uniformerv2_b16_8x224.pyth", "moments_in_time_v1"),
        ("authors", 174, "sthv1/sthv1_uniformerv2_b16_16x224.pyth", "something_something_v1"),
        ("authors", 174, "uniformer_b16_sthv2_prek400.pyth", "something_something_v2"),
        ("authors", 174, "sthv2/best.pyth", None),
        ("authors", 200, "anet_uniformerv2_l14_16x224.pyth", "activitynet200"),
        ("authors", 200, "hacs_uniformerv2_l14_16x224.pyth", None),
        ("authors", 101, "anything.pyth", "ucf101"),
        ("", 400, "k400.pyth", None),
    ],
)
def test_implied_orders(origin, num_classes, source, expected):
    assert implied_list(origin, num_classes, source) == expected
