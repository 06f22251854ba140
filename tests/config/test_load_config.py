"""Bases, overrides, unknown keys, and what loading promises of its result."""

import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slowfast.config import get_cfg, load_config, validate
from slowfast.config.ignored_keys import IGNORED_KEYS, ONLY_ACCEPTED, why_ignored
from slowfast.config.load import flatten
from tests.config.refusal import refusal


def test_defaults_are_valid_and_copied():
    cfg = get_cfg()
    validate(cfg)
    assert not cfg.is_frozen()
    cfg.DATA.MEAN[0] = 9.0
    cfg.NUM_GPUS = 7
    assert get_cfg().DATA.MEAN[0] == 0.45
    assert get_cfg().NUM_GPUS == 1
    assert load_config() == load_config("") == load_config(None, []) == get_cfg()


def test_result_is_frozen():
    cfg = load_config()
    with pytest.raises(AttributeError):
        cfg.NUM_GPUS = 2
    with pytest.raises(AttributeError):
        cfg.TRAIN.BATCH_SIZE = 2


def test_overrides_come_after_the_file_and_the_last_counts(write):
    path = write("TRAIN:\n  BATCH_SIZE: 8\n  EVAL_PERIOD: 2\n")
    cfg = load_config(path, ["TRAIN.BATCH_SIZE", "16", "TRAIN.BATCH_SIZE", 32])
    assert (cfg.TRAIN.BATCH_SIZE, cfg.TRAIN.EVAL_PERIOD) == (32, 2)


def test_text_keys_take_raw_words():
    cfg = load_config(None, ["OUTPUT_DIR", "123", "DATA.PATH_LABEL_SEPARATOR", ",", "UNIFORMERV2.PRETRAIN", "none"])
    assert (cfg.OUTPUT_DIR, cfg.DATA.PATH_LABEL_SEPARATOR, cfg.UNIFORMERV2.PRETRAIN) == ("123", ",", "none")


def test_numbers_that_yaml_reads_as_text(write):
    cfg = load_config(write("SOLVER:\n  BASE_LR: 4e-4\n  COSINE_END_LR: 1e-6\n"))
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.COSINE_END_LR) == (4e-4, 1e-6)


# ------------------------------------------------------------------------------------------------ idempotence
def test_saved_config_loads_as_itself(write):
    cfg = load_config(None, ["UNIFORMER.MLP_RATIO", "4", "UNIFORMER.QKV_SCALE", "0.1", "DATA.PATH_PREFIX", "à: #b"])
    again = load_config(write(cfg.dump()))
    assert again == cfg
    assert again.dump() == cfg.dump()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lr=st.floats(min_value=1e-12, max_value=1e6),
    text=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00")),
    flag=st.booleans(),
    means=st.lists(st.floats(-5, 5), min_size=3, max_size=3),
)
def test_any_saved_config_loads_as_itself(write, lr, text, flag, means):
    overrides = ["SOLVER.BASE_LR", lr, "DATA.PATH_PREFIX", text, "DATA.RANDOM_FLIP", flag, "DATA.MEAN", means]
    cfg = load_config(None, overrides)
    assert load_config(write(cfg.dump())) == cfg


# ------------------------------------------------------------------------------------------------ bases
def test_base_is_relative_to_the_file_that_names_it(write):
    write("TRAIN:\n  BATCH_SIZE: 8\n", "configs/deep/root.yaml")
    write("_BASE_: deep/root.yaml\nTRAIN:\n  EVAL_PERIOD: 3\n", "configs/middle.yaml")
    path = write("_BASE_: ../configs/middle.yaml\nNUM_GPUS: 2\n", "exp/config.yaml")
    cfg = load_config(path)
    assert (cfg.TRAIN.BATCH_SIZE, cfg.TRAIN.EVAL_PERIOD, cfg.NUM_GPUS) == (8, 3, 2)


def test_base_is_found_from_a_relative_path(write, monkeypatch, tmp_path):
    write("NUM_GPUS: 2\n", "base.yaml")
    write("_BASE_: base.yaml\n")
    monkeypatch.chdir(tmp_path)
    assert load_config("config.yaml").NUM_GPUS == 2


def test_later_bases_override_earlier_ones_and_the_file_overrides_all(write):
    write("NUM_SHARDS: 2\nLOG_PERIOD: 2\nRNG_SEED: 2\n", "one.yaml")
    write("LOG_PERIOD: 3\nRNG_SEED: 3\n", "two.yaml")
    cfg = load_config(write("RNG_SEED: 4\n_BASE_: [one.yaml, two.yaml]\n"))
    assert (cfg.NUM_SHARDS, cfg.LOG_PERIOD, cfg.RNG_SEED) == (2, 3, 4)


def test_absolute_base(write):
    base = write("NUM_GPUS: 2\n", "base.yaml")
    assert load_config(write(f"_BASE_: {base}\n", "elsewhere/config.yaml")).NUM_GPUS == 2


def test_two_files_may_share_a_base(write):
    write("NUM_GPUS: 2\n", "root.yaml")
    write("_BASE_: root.yaml\n", "one.yaml")
    write("_BASE_: root.yaml\n", "two.yaml")
    assert load_config(write("_BASE_: [one.yaml, two.yaml]\n")).NUM_GPUS == 2


def test_circle_of_bases_is_refused(write):
    one, two = write("_BASE_: two.yaml\n", "one.yaml"), write("_BASE_: one.yaml\n", "two.yaml")
    assert refusal(one) == f"_BASE_ runs in a circle: {one} -> {two} -> {one}"


def test_missing_base_names_both_files(write, tmp_path):
    path = write("NUM_GPUS: 1\n_BASE_: [no.yaml]\n")
    assert refusal(path) == f"{path}:2: _BASE_ names no.yaml, but there is no file {tmp_path}/no.yaml"


@pytest.mark.parametrize(
    ("value", "shown"),
    [("3", ", not 3"), ("[1]", ", not [1]"), ("", ", not None"), ("''", ", not ''"), ("{a: b}", "")],
)
def test_base_of_a_wrong_type_is_refused(write, value, shown):
    path = write(f"_BASE_: {value}\n")
    assert refusal(path) == f"{path}:1: _BASE_ takes a file name or a list of them{shown}"


def test_mistake_in_a_base_names_the_base(write):
    base = write("TRAIN:\n  BATCH_SIZE: many\n", "base.yaml")
    path = write("_BASE_: base.yaml\nTRAIN:\n  BATCH_SIZE: 8\n")
    assert refusal(path) == f"{base}:2: TRAIN.BATCH_SIZE takes an int, not 'many' (str)"


def test_base_is_no_override():
    assert refusal(None, ["_BASE_", "a.yaml"]) == "command line: _BASE_ works in files only"


# ------------------------------------------------------------------------------------------------ unknown keys
@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("SOLVER.BASE_LRR", "SOLVER.BASE_LR"),
        ("SOLVR.BASE_LR", "SOLVER.BASE_LR"),
        ("TRAIN.NUM_FRAMES", "DATA.NUM_FRAMES"),
        ("train.batch_size", "TRAIN.BATCH_SIZE"),
        ("NUM_GPU", "NUM_GPUS"),
        ("TENSORBOARD.ENABEL", "TENSORBOARD.ENABLE"),
        ("BATCH_SIZE", "TEST.BATCH_SIZE"),
    ],
)
def test_unknown_key_names_the_nearest(key, nearest):
    assert refusal(None, [key, "1"]) == f"command line: unknown key {key}; the nearest known key is {nearest}"


def test_unknown_key_names_file_and_line(write):
    path = write("NUM_GPUS: 1\nSOLVER:\n  # a comment\n  BASE_LRR: 0.1\n")
    assert refusal(path) == f"{path}:4: unknown key SOLVER.BASE_LRR; the nearest known key is SOLVER.BASE_LR"


def test_wrong_type_names_file_line_key_and_value(write):
    path = write("TRAIN:\n  ENABLE: 1\n")
    assert refusal(path) == f"{path}:2: TRAIN.ENABLE takes a bool (true or false), not 1 (int)"


@pytest.mark.parametrize(("text", "shown"), [("3", "3"), ("", "null"), ("[1]", "[1]")])
def test_section_takes_no_value(write, text, shown):
    path = write(f"TRAIN: {text}\n")
    assert refusal(path) == f"{path}:1: TRAIN is a section of keys and takes no value itself, not {shown}"
    assert refusal(None, ["TRAIN", "3"]) == (
        "command line: TRAIN is a section of keys and takes no value itself, not '3'"
    )


def test_key_takes_no_section(write):
    path = write("TRAIN:\n  BATCH_SIZE:\n    SMALL: 3\n")
    expected = f"{path}:3: TRAIN.BATCH_SIZE takes one value (default 64), but TRAIN.BATCH_SIZE.SMALL is given"
    assert refusal(path) == expected


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["NUM_GPUS"], "command line: overrides are pairs KEY VALUE, but there are 1 words, the last one 'NUM_GPUS'"),
        (["NUM_GPUS", 1, "LOG_PERIOD"], "command line: overrides are pairs KEY VALUE, but there are 3 words"),
        (["NUM_GPUS", "1", "--cfg", "x"], "command line: a key was expected, not --cfg; options go before the pairs"),
        ([3, "1"], "command line: a key was expected, not 3; overrides are pairs KEY VALUE"),
    ],
)
def test_overrides_are_pairs(overrides, message):
    assert refusal(None, overrides).startswith(message)


# ------------------------------------------------------------------------------------------------ ignored keys
def test_ignored_keys_give_one_warning_and_leave_no_trace(write, caplog):
    path = write("MULTIGRID:\n  SHORT_CYCLE: true\nDATA:\n  MC: true\nDETECTION:\n  ENABLE: false\n")
    with caplog.at_level(logging.WARNING):
        cfg = load_config(path, ["SOLVER.GAMMA", "0.1", "TENSORBOARD.MODEL_VIS.ENABLE", "True"])
    assert cfg == get_cfg()
    assert caplog.messages == [
        "config keys accepted without effect: DATA.MC (frames are read from disk or a mounted store); "
        "DETECTION.ENABLE (only classification of whole videos is done here); "
        "MULTIGRID.SHORT_CYCLE (the shape of clips is the same in all epochs); "
        "SOLVER.GAMMA (no learning rate policy reads it); TENSORBOARD.MODEL_VIS.ENABLE (TensorBoard gets scalar "
        "curves only)"
    ]


def test_no_key_is_both_known_and_ignored():
    assert [key for key, _ in flatten(get_cfg()) if why_ignored(key)] == []


@pytest.mark.parametrize("key", IGNORED_KEYS)
def test_each_ignored_key_loads(key):
    accepted, _ = ONLY_ACCEPTED.get(key, ("1", ""))
    assert load_config(None, [key.replace("*", "ANY.THING"), accepted]) == get_cfg()


def test_channels_are_not_reversed_last(write):
    """As SlowFast does after the normalisation; ignoring it would train on other colours without a word."""
    path = write("DATA:\n  REVERSE_INPUT_CHANNEL: true\n")
    told = (
        "DATA.REVERSE_INPUT_CHANNEL is True; accepted: False; True would reverse the channels after augmentation and "
        "normalisation, which is not done here; remove it and give DATA.CHANNEL_ORDER, which orders the channels "
        "before augmentation, with DATA.MEAN and STD in its order: bgr for videos, rgb for folders of frames, which "
        "SlowFast reads as BGR"
    )
    assert refusal(path) == f"{path}:2: {told}"
    assert refusal(None, ["DATA.REVERSE_INPUT_CHANNEL", "True"]) == f"command line: {told}"
    no_truth = refusal(None, ["DATA.REVERSE_INPUT_CHANNEL", "maybe"])
    assert no_truth.startswith("command line: DATA.REVERSE_INPUT_CHANNEL takes ")


def test_no_warning_without_ignored_keys(caplog):
    load_config(None, ["NUM_GPUS", "1"])
    assert caplog.messages == []
