"""Types of the tools' options."""

import argparse

import pytest

from slowfast.config.command_line import add_config_arguments, load_config_or_exit, positive_int


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("40", 40), ("007", 7)])
def test_counts_are_whole_numbers_from_one(text: str, number: int):
    assert positive_int(text) == number


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1e3", "many", "", " 1", "²"])
def test_other_counts_are_refused_with_the_word_and_what_is_accepted(text: str):
    with pytest.raises(argparse.ArgumentTypeError) as error:
        positive_int(text)
    assert str(error.value) == f"{text!r}; accepted: whole numbers from 1"
    with pytest.raises(argparse.ArgumentTypeError) as error:
        positive_int(text, hint=", and no more")
    assert str(error.value) == f"{text!r}; accepted: whole numbers from 1, and no more"


def test_a_parser_names_the_option(capsys: pytest.CaptureFixture[str]):
    parser = argparse.ArgumentParser(prog="tool")
    parser.add_argument("--rounds", type=positive_int)
    assert parser.parse_args(["--rounds", "3"]).rounds == 3
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["--rounds", "0"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith("tool: error: argument --rounds: '0'; accepted: whole numbers from 1\n")


@pytest.mark.parametrize("words", [["--opts"], []])
def test_pairs_may_come_after_the_word_of_slowfast(words: list[str]):
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    pairs = ["SOLVER.BASE_LR", "1e-5", "SOLVER.CLIP_GRADIENT", "-1"]
    cfg = load_config_or_exit(parser.parse_args([*words, *pairs]))
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.CLIP_GRADIENT) == (1e-5, -1.0)


def test_options_after_that_word_are_no_pairs(capsys: pytest.CaptureFixture[str]):
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    with pytest.raises(SystemExit):
        load_config_or_exit(parser.parse_args(["--opts", "SOLVER.BASE_LR", "1", "--cfg", "x"]))
    assert "options go before the pairs KEY VALUE" in capsys.readouterr().err
