"""Duplicate keys and mistakes in YAML files are named with file and line."""

import logging

import pytest

from slowfast.config import load_config
from tests.config.refusal import refusal
from tests.time_bound import within

DUPLICATE = "TRAIN:\n  BATCH_SIZE: 8\n  EVAL_PERIOD: 5\n  BATCH_SIZE: 16\n"


def test_duplicate_key_names_lines_and_values(write):
    path = write(DUPLICATE)
    assert refusal(path) == (
        f"{path}:4: duplicate key TRAIN.BATCH_SIZE: 8 on line 2 and 16 on line 4; "
        "keep one of them, or let the last one win with --allow_duplicate_keys"
    )


def test_duplicate_key_may_be_allowed_and_the_last_wins(write, caplog):
    path = write(DUPLICATE)
    with caplog.at_level(logging.WARNING):
        cfg = load_config(path, allow_duplicate_keys=True)
    assert cfg.TRAIN.BATCH_SIZE == 16
    assert cfg.TRAIN.EVAL_PERIOD == 5
    expected = f"{path}:4: duplicate key TRAIN.BATCH_SIZE: 8 on line 2 and 16 on line 4; the last one wins"
    assert caplog.messages == [expected]


def test_duplicate_key_with_the_same_value_is_a_warning(write, caplog):
    path = write("TRAIN:\n  BATCH_SIZE: 8\n  BATCH_SIZE: 8\n")
    with caplog.at_level(logging.WARNING):
        assert load_config(path).TRAIN.BATCH_SIZE == 8
    assert caplog.messages == [f"{path}:3: key TRAIN.BATCH_SIZE is given on line 2 too, with the same value"]


def test_duplicate_section_names_its_lines(write):
    path = write("TRAIN:\n  BATCH_SIZE: 8\nNUM_GPUS: 1\nTRAIN:\n  EVAL_PERIOD: 5\n")
    message = refusal(path)
    assert message.startswith(f"{path}:4: duplicate key TRAIN: {{'BATCH_SIZE': 8}} on line 1 and ")


def test_duplicate_section_that_is_allowed_replaces_the_first(write):
    path = write("TRAIN:\n  BATCH_SIZE: 8\nTRAIN:\n  EVAL_PERIOD: 5\n")
    cfg = load_config(path, allow_duplicate_keys=True)
    assert (cfg.TRAIN.BATCH_SIZE, cfg.TRAIN.EVAL_PERIOD) == (64, 5)


def test_one_and_true_are_not_the_same_value(write):
    path = write("NUM_GPUS: true\nNUM_GPUS: 1\n")
    assert "True on line 1 and 1 on line 2" in refusal(path)


def test_merge_keys_may_be_overridden(write):
    path = write("TRAIN: &shared\n  BATCH_SIZE: 16\nTEST:\n  <<: *shared\n  BATCH_SIZE: 4\n")
    cfg = load_config(path)
    assert (cfg.TRAIN.BATCH_SIZE, cfg.TEST.BATCH_SIZE) == (16, 4)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("TRAIN:\n  BATCH_SIZE: [8\n", 3),
        ("TRAIN:\n\tBATCH_SIZE: 8\n", 2),
        ("NUM_GPUS: 1\n---\nNUM_GPUS: 2\n", 2),
        ("NUM_GPUS: 1\nTRAIN: !!python/object/apply:os.getcwd []\n", 2),
        ("NUM_GPUS: 1\nTRAIN: !!python/object:x.Y {BATCH_SIZE: 8}\n", 2),
        ("NUM_GPUS: *nowhere\n", 1),
    ],
)
def test_what_is_not_yaml_names_the_line(write, text, line):
    path = write(text)
    assert refusal(path).startswith(f"{path}:{line}: not valid YAML: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", ":1: a config is a mapping of keys to values"),
        ("just words\n", ":1: a config is a mapping of keys to values"),
        ("NUM_GPUS: 1\n[a, b]: 1\n", ":2: a key must be a plain word"),
        ("TRAIN.BATCH_SIZE: 8\n", ":1: key TRAIN.BATCH_SIZE has a dot; write BATCH_SIZE beneath section TRAIN"),
        ("TRAIN: &t\n  X: *t\n", ":1: section TRAIN.X contains itself"),
        ("OUTPUT_DIR: 2024-13-45\n", ":1: not valid YAML: '2024-13-45' is no timestamp (month must be in 1..12)"),
    ],
)
def test_what_is_no_config_is_refused(write, text, message):
    path = write(text)
    assert refusal(path) == path + message


def test_control_characters_are_refused(write):
    path = write("NUM_GPUS: \x00 1\n")
    assert refusal(path).startswith(f"{path}: not valid YAML: ")


def test_binary_files_are_refused(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xff\xfe\x00\x81")
    assert refusal(str(path)).startswith(f"cannot read the config file {path}: it is not UTF-8 text")


def test_missing_file_and_directory_are_refused(tmp_path):
    assert refusal(str(tmp_path / "no.yaml")) == (
        f"cannot read the config file {tmp_path}/no.yaml: No such file or directory"
    )
    assert refusal(str(tmp_path)) == f"cannot read the config file {tmp_path}: Is a directory"


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "\ufeffNUM_GPUS: 1\n", "TRAIN: {}\n"])
def test_files_that_change_nothing(write, text):
    assert load_config(write(text)) == load_config()


def test_deep_nesting_is_refused(write):
    path = write("[" * 2000 + "]" * 2000)
    assert refusal(path).startswith(path)


@pytest.mark.parametrize(
    ("first", "other"),
    [("[1, 1]", "[*a{0}, *a{0}]"), ("{{x: 1}}", "{{p: *a{0}, q: *a{0}}}"), ("{{x: 1}}", "{{<<: [*a{0}, *a{0}]}}")],
)
def test_aliases_that_double_are_refused_before_they_are_written_out(write, first, other):
    lines = ["A0: &a0 " + first.format(), *(f"A{i}: &a{i} " + other.format(i - 1) for i in range(1, 60))]
    with within(20, "aliases"):
        message = refusal(write("\n".join(lines)))
    assert ".yaml:16: holds more than 100000 values with its aliases (*) written out, and no config is" in message


def test_merges_of_a_section_with_itself_are_refused(write):
    path = write("TRAIN: &a {" + ", ".join(["<<: [*a, *a]"] * 40) + "}")
    with within(20, "merges"):
        assert refusal(path) == f"{path}:1: section TRAIN.<< contains itself"


def test_bases_that_double_are_not_read_for_hours(write):
    for i in range(40):
        write(f"_BASE_: [b{i + 1}.yaml, b{i + 1}.yaml]\n", f"b{i}.yaml")
    path = write("NUM_GPUS: 1\n", "b40.yaml").replace("b40", "b0")
    with within(20, "bases"):
        assert f"{path}: _BASE_ leads to more than 100 files (" in refusal(path)


def test_long_files_are_refused(write):
    assert "has more than 65536 characters, and no config is that long" in refusal(write("# " + "x" * 70000))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("!!timestamp x", "not valid YAML: 'x' is no timestamp"),
        ("!!int ''", "not valid YAML: '' is no int"),
        ("!!bool maybe", "not valid YAML: 'maybe' is no bool"),
        ('"a\\ud800"', "OUTPUT_DIR has half of a character (a surrogate): 'a\\ud800'"),
        ('"a\\0b"', "OUTPUT_DIR has a NUL character, which no name has: 'a\\x00b'"),
    ],
)
def test_scalars_that_are_not_what_their_tag_says(write, value, told):
    path = write(f"NUM_GPUS: 0\nOUTPUT_DIR: {value}\n")
    assert refusal(path) == f"{path}:2: {told}"
    assert "cannot read the config file 'a\\x00b'" in refusal("a\0b")


def test_numbers_that_no_message_can_show(write):
    path = write("NUM_GPUS: 0x" + "f" * 5000)
    assert refusal(path) == f"{path}:1: NUM_GPUS takes an int, not a value of more than 80 characters (int)"
