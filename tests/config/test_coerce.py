"""Conversion is directed by the type of a key's default."""

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowfast.config import load_config
from slowfast.config.coerce import coerce
from slowfast.errors import UserError


@pytest.mark.parametrize(
    ("default", "value", "expected"),
    [
        (0.1, "4e-4", 4e-4),
        (0.1, "1e-6", 1e-6),
        (0.1, 2, 2.0),
        (0.1, " -3 ", -3.0),
        (1, 3, 3),
        (1, "12", 12),
        (1, "-1", -1),
        (True, "false", False),
        (False, "True", True),
        (False, True, True),
        ("x", "123", "123"),
        ("x", ",", ","),
        ("x", "None", "None"),
        ("x", "[1]", "[1]"),
        ("x", pathlib.Path("a/b"), "a/b"),
        ([1], [2, 3], [2, 3]),
        ([1], (2, 3), [2, 3]),
        ([1], "[2, 3]", [2, 3]),
        ([1], "(2, 3)", [2, 3]),
        ([1], "2, 3", [2, 3]),
        ([1], "[]", []),
        ([0.5], "[1e-6, 1]", [1e-6, 1.0]),
        ([0.5], ["1e-6", 1], [1e-6, 1.0]),
        (["a"], "[b, c]", ["b", "c"]),
    ],
)
def test_value_becomes_the_type_of_the_default(default, value, expected):
    result = coerce("KEY", value, default, "here")
    assert result == expected
    assert type(result) is type(default)
    if isinstance(result, list):
        assert all(type(item) is type(default[0]) for item in result)


@pytest.mark.parametrize(
    ("default", "value", "message"),
    [
        (1, True, "here: KEY takes an int, not True (bool)"),
        (1, 2.0, "here: KEY takes an int, not 2.0 (float)"),
        (1, "2.0", "here: KEY takes an int, not '2.0' (str)"),
        (1, None, "here: KEY takes an int, not null"),
        (1, [1], "here: KEY takes an int, not [1] (list)"),
        (0.1, False, "here: KEY takes a finite number, not False (bool)"),
        (0.1, "fast", "here: KEY takes a finite number, not 'fast' (str)"),
        (0.1, "nan", "here: KEY takes a finite number, not 'nan' (str)"),
        (0.1, float("inf"), "here: KEY takes a finite number, not inf (float)"),
        (0.1, 10**400, "here: KEY takes a finite number, not 1000"),
        (True, 1, "here: KEY takes a bool (true or false), not 1 (int)"),
        (True, "yes", "here: KEY takes a bool (true or false), not 'yes' (str)"),
        (True, "TRUE", "here: KEY takes a bool (true or false), not 'TRUE' (str)"),
        ("x", 123, "here: KEY takes a str (in YAML, quote what looks like another type), not 123 (int)"),
        ("x", None, "here: KEY takes a str (in YAML, quote what looks like another type), not null"),
        ([1], 3, "here: KEY takes a list, each item an int, not 3 (int)"),
        ([1], "3", "here: KEY takes a list, each item an int, not '3' (str)"),
        ([1], "[3", "here: KEY takes a list, each item an int, not '[3' (str)"),
        ([1], [1, True], "here: KEY takes a list, each item an int, not [1, True] (list)"),
        ([1.0], ["a"], "here: KEY takes a list, each item a finite number, not ['a'] (list)"),
        ([1], {}, "here: KEY takes a list, each item an int, not {} (dict)"),
    ],
)
def test_value_of_a_wrong_type_is_refused(default, value, message):
    with pytest.raises(UserError) as error:
        coerce("KEY", value, default, "here")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [4, "4", 4.0])
def test_mlp_ratio_may_be_a_number(value):
    assert load_config(None, ["UNIFORMER.MLP_RATIO", value]).UNIFORMER.MLP_RATIO == 4.0


@pytest.mark.parametrize("value", [[4, 3, 2, 1], "[4, 3, 2, 1]", "(4.0, 3, 2, 1)"])
def test_mlp_ratio_may_be_four_numbers(value):
    assert load_config(None, ["UNIFORMER.MLP_RATIO", value]).UNIFORMER.MLP_RATIO == [4.0, 3.0, 2.0, 1.0]


@pytest.mark.parametrize("value", [[4, 4], True, None, "wide"])
def test_mlp_ratio_is_nothing_else(value):
    with pytest.raises(UserError, match=r"UNIFORMER.MLP_RATIO takes a number, or a list of 4 numbers"):
        load_config(None, ["UNIFORMER.MLP_RATIO", value])


@pytest.mark.parametrize("value", [0.5, "half", [0.5], [[], [], ["half"], []], None])
def test_prune_ratio_is_lists_of_numbers(value):
    with pytest.raises(
        UserError, match=r"UNIFORMER.PRUNE_RATIO takes 4 lists of numbers \(one list for each stage, \[\]"
    ):
        load_config(None, ["UNIFORMER.PRUNE_RATIO", value])


@pytest.mark.parametrize("value", [None, "None", "null", ""])
@pytest.mark.parametrize("key", ["QKV_SCALE", "PRETRAIN_NAME"])
def test_optional_keys_may_be_none(key, value):
    assert load_config(None, [f"UNIFORMER.{key}", value]).UNIFORMER[key] is None


def test_optional_keys_may_have_a_value():
    cfg = load_config(None, ["UNIFORMER.QKV_SCALE", "0.125", "UNIFORMER.PRETRAIN_NAME", "uniformer_small_in1k"])
    assert cfg.UNIFORMER.QKV_SCALE == 0.125
    assert cfg.UNIFORMER.PRETRAIN_NAME == "uniformer_small_in1k"


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("DATA.TRAIN_JITTER_SCALES_RELATIVE", "[1, 1]", [1.0, 1.0]),
        ("DATA.TRAIN_JITTER_ASPECT_RELATIVE", "[1, 2]", [1.0, 2.0]),
        ("SOLVER.STEPS", "[0, 30]", [0, 30]),
        ("SOLVER.LRS", "[1, 0.1]", [1.0, 0.1]),
    ],
)
def test_lists_that_are_empty_by_default_know_their_items(key, text, expected):
    result = coerce(key, text, [], "here")
    assert result == expected
    assert [type(item) for item in result] == [type(item) for item in expected]
    with pytest.raises(UserError):
        coerce(key, ["x"], [], "here")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_survives_as_text(number):
    assert coerce("KEY", str(number), 0.0, "here") == number


@given(st.integers())
def test_any_int_survives_as_text(number):
    assert coerce("KEY", str(number), 0, "here") == number


@given(st.text())
def test_any_text_is_kept_by_a_text_key(text):
    assert coerce("KEY", text, "", "here") == text


@given(st.text(max_size=30))
def test_odd_text_is_refused_by_a_list_key_without_a_traceback(text):
    try:
        assert isinstance(coerce("KEY", text, [1], "here"), list)
    except UserError as error:
        assert str(error).startswith("here: KEY takes a list")
