"""Whatever stands in a config file: a config comes of it, or one line that says what is wrong, and soon."""

import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from slowfast.config import load_config
from slowfast.errors import UserError
from tests.time_bound import within

NUM_FILES, NUM_FAST, PER_BLOCK = 2000, 60, 200
LIMIT_S = 20
# Words that YAML or a key of ours gives a meaning to.
WORDS = [
    *("!!timestamp x", "!!int ''", "!!float x", "!!bool maybe", "!!binary '*'", "!!set {a, b}", "!!omap [a: 1]"),
    *("!!python/name:os.system", "!!python/object/apply:os.getcwd []", "!!pairs [[a]]", "!!null x", "!local 1"),
    *("&a", "*a", "<<: *a", "&a [*a]", "&b {x: *b}", "<<: [*a, *a]", "? ", "? [a, b]", "- ", "--- ", "...", "|", ">"),
    *("_BASE_: [x, x]", "_BASE_: config.yaml", '_BASE_: "a\\0b"', "PLUGINS: [x.py]", "PLUGINS: {a: 1}", "%YAML 1.1"),
    *(
        '"\\0"',
        '"\\ud800"',
        "2024-13-45",
        "2024-02-30 25:61",
        "1:59:59",
        "0x" + "f" * 5000,
        "9" * 5000,
        "1e999",
        ".nan",
    ),
    *(
        "~",
        "yes",
        "[]",
        "{}",
        "[1, [2, [3]]]",
        "{a: {b: 1}}",
        "''",
        "\t",
        "\r",
        "\x00",
        "\x85",
        "\ufeff",
        "é",
        "#",
        ": ",
        "::",
    ),
    *("{:9999999999d}", "{0.__class__}", "{", "-1", "1e-400", "nan", "-inf", "rand-m9-" * 50, "x" * 3000),
]


def texts() -> list[list[str]]:
    """Sections of the resolved default config and one that shares values, in lines."""
    lines, sections = load_config().dump().splitlines(keepends=True), []
    for line in lines:
        if line[0].isalpha():
            sections.append([])
        sections[-1].append(line)
    shared = "TRAIN: &a\n  BATCH_SIZE: 8\nTEST:\n  <<: *a\n  BATCH_SIZE: 4\nDATA: {MEAN: &m [0.5, 0.5, 0.5], STD: *m}\n"
    return [*sections, shared.splitlines(keepends=True)]


def mutated(draws: random.Random, sections: list[list[str]]) -> str:
    """A few sections with a few lines changed."""
    lines = [line for section in draws.sample(sections, 3) for line in section]
    start = draws.randrange(max(len(lines) - 25, 1))
    lines = lines[start : start + 25]
    for _ in range(draws.randint(1, 4)):
        at = draws.randrange(len(lines))
        line = lines[at]
        change = draws.randrange(7)
        if change == 0:
            lines[at] = line.partition(":")[0] + ": " + draws.choice(WORDS) + "\n"
        elif change == 1:
            lines.insert(at, " " * draws.randrange(5) + draws.choice(WORDS) + "\n")
        elif change == 2:
            lines.insert(at, lines[draws.randrange(len(lines))])
        elif change == 3:
            cut = draws.randrange(len(line))
            lines[at] = line[:cut] + draws.choice(WORDS) + line[cut:]
        elif change == 4:
            lines[at] = " " * draws.randrange(6) + line.lstrip()
        elif change == 5:
            lines[at] = "".join(draws.sample(line, len(line)))
        else:
            cut = draws.randrange(len(line))
            lines[at] = (
                line[:cut] + chr(draws.choice([0, 9, 34, 38, 42, 58, 91, 123, 0xA0, 0x2028, 0xFFFF])) + line[cut + 1 :]
            )
    return "".join(lines)


def refuse_or_load(path: Path, text: str) -> bool:
    """Whether a config comes of a text; fails on anything but that or one line."""
    path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    try:
        with warnings.catch_warnings(), within(LIMIT_S, repr(text)):
            warnings.simplefilter("ignore")
            cfg = load_config(path, may_import=False)
            assert cfg.is_frozen() and cfg.dump()
    except UserError as error:
        assert str(error).isprintable(), repr(error)
        return False
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}, for {text!r}") from error
    return True


def fuzz(indices: range, folder: Path) -> Iterator[bool]:
    sections = texts()
    for idx in indices:
        yield refuse_or_load(folder / "config.yaml", mutated(random.Random(idx), sections))


def test_a_share_of_the_mutated_files(tmp_path: Path):
    results = list(fuzz(range(NUM_FAST), tmp_path))
    assert sum(results) < len(results)


def test_what_is_mutated_is_taken_as_it_is(tmp_path: Path):
    assert refuse_or_load(tmp_path / "config.yaml", "".join(line for section in texts()[:-1] for line in section))


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, NUM_FILES, PER_BLOCK))
def test_mutated_files(start: int, tmp_path: Path):
    assert len(list(fuzz(range(start, start + PER_BLOCK), tmp_path))) == PER_BLOCK
