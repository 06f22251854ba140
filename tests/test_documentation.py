"""What a program can check of the Markdown pages: links, anchors, tables of contents, paths, and quoted figures."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(chain(ROOT.glob("*.md"), *(ROOT.joinpath(top).rglob("*.md") for top in ("docs", "exp", "configs"))))
MEASUREMENTS = [page for page in PAGES if page.parent == ROOT / "docs/benchmarks" and page.name != "README.md"]
LONGEST_WITHOUT_CONTENTS = 150
LONGEST_PARAGRAPH = 90  # words
# Folders of this repository; another folder in backticks (data/, runs/, weights/) is the reader's.
FOLDERS = ("slowfast", "tools", "tests", "configs", "exp", "docs")
# Files with these endings are of this repository, too.
ENDINGS = (".py", ".md", ".sh")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", page.read_text())


def headings(page: Path, level: str = "#{1,6}") -> list[str]:
    return re.findall(rf"^{level} (.+)$", prose(page), re.MULTILINE)


def anchor(heading: str) -> str:
    """GitHub's rule: letters, digits, hyphens and underscores stay, spaces become hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links(page: Path) -> list[str]:
    text = re.sub(r"`[^`]*`", "", prose(page))
    return re.findall(r"(?<=\]\()[^)\s]+(?=\))", text) + re.findall(r"(?<=src=\")[^\"]+(?=\")", text)


def paths(page: Path) -> Iterator[str]:
    """Paths of this repository in backticks and in commands; a part in <> is a *."""
    words = re.findall(r"`([^`\s]+)`", prose(page))
    for block in FENCE.findall(page.read_text()):
        words += [word for word in block.split() if word.startswith(tuple(f"{folder}/" for folder in FOLDERS))]
    for word in words:
        is_ours = word.split("/")[0] in FOLDERS or word.endswith(ENDINGS)
        if is_ours and re.fullmatch(r"[\w.<>*-]+(/[\w.<>*-]+)+/?", word):
            yield re.sub(r"<[^>]*>", "*", word)


def paragraphs(page: Path) -> Iterator[str]:
    """Runs of text between empty lines; an item of a list is one of its own, tables and headings are none."""
    for block in prose(page).split("\n\n"):
        if not block.lstrip().startswith(("|", "#")):
            yield from re.split(r"\n(?=\s*(?:[-*]|\d+\.) )", block)


def rows(page: Path) -> set[str]:
    return {line for line in page.read_text().splitlines() if line.startswith("| ")}


@every_page
def test_links_and_anchors_exist(page):
    wrong = []
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, name = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        if not linked.exists() or (name and name not in map(anchor, headings(linked))):
            wrong.append(target)

    assert wrong == []


@every_page
def test_a_long_page_begins_with_a_table_of_contents(page):
    if len(page.read_text().splitlines()) > LONGEST_WITHOUT_CONTENTS:
        first_chapters = {heading for heading in headings(page, "##") if heading != "Contents"}
        linked = {target.removeprefix("#") for target in links(page)}

        assert {heading for heading in first_chapters if anchor(heading) not in linked} <= before_contents(page)


def before_contents(page: Path) -> set[str]:
    """Headings that come before a heading "Contents": the reader has passed them."""
    names = headings(page, "##")
    return set(names[: names.index("Contents")]) if "Contents" in names else set()


@every_page
def test_paragraphs_are_short(page):
    assert [text for text in paragraphs(page) if len(text.split()) > LONGEST_PARAGRAPH] == []


@every_page
def test_named_files_exist(page):
    places = (ROOT, ROOT / "slowfast", page.parent)

    assert [path for path in paths(page) if not any(any(place.glob(path)) for place in places)] == []


def test_the_readme_has_the_two_commands_that_start_everything():
    commands = (ROOT / "README.md").read_text()

    assert "\npip install -e . && bash exp/quickstart/run.sh\n" in commands
    assert "\npip install -e '.[test]' && pytest -n 2 --dist loadfile\n" in commands


@pytest.mark.parametrize("page", MEASUREMENTS, ids=lambda page: page.stem)
def test_a_measurement_names_command_machine_versions_and_commit(page):
    text = page.read_text()

    assert "```bash" in text
    assert [name for name in ("machine", "versions", "commit") if f"\n| {name} | " not in text] == []
    assert f"({page.name})" in (page.parent / "README.md").read_text()


def test_quoted_figures_are_those_of_the_measurement():
    measured = {}
    for row in rows(ROOT / "docs/benchmarks/model_sizes.md"):
        model, *figures = [cell.strip() for cell in row.strip("|").split("|")]
        measured[model] = figures
    quoted = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows(ROOT / "MODEL_ZOO.md")]
    sizes = [row for row in quoted if len(row) == 5 and row[0] in measured and row[0] != "model"]

    assert len(sizes) == 27
    for model, *figures in sizes:
        parameters, _, _, _, here, _, step, further = measured[model]
        assert figures == [parameters, here, step, further], model
    transcoded = {row for row in rows(ROOT / "docs/benchmarks/transcoding.md") if re.match(r"\| \d", row)}
    assert transcoded and transcoded <= rows(ROOT / "DATASET.md")
