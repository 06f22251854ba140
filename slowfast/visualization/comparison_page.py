"""The page of a comparison of two tests: one file that opens nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from slowfast.visualization.templates import ClassTable, Headline, render

TEMPLATE = "comparison.html.j2"


class FlippedVideos(NamedTuple):
    """Videos that one test alone has right: a title, and rows of video, class, and what A and B say."""

    title: str
    rows: Sequence[tuple[str, str, str, str]]


class Sides(NamedTuple):
    """A figure, and what it is in both tests, with their intervals; "" for none."""

    name: str
    a: str
    a_interval: str
    b: str
    b_interval: str


@dataclass(frozen=True, kw_only=True)
class ComparisonPage(ClassTable):
    """What the page shows, beside the table of classes.

    Attributes:
        a, b: the tests.
        counts: how many videos are compared, in a sentence.
        notes: what else there is to know.
        figures: differences, with their intervals as notes.
        sides: the figures of both.
        answers: videos that are right in both, A alone, B alone, neither.
        test: McNemar's, in a sentence.
        classes_note: what the table of classes says.
        flips: both ways.
        others: videos that both have wrong, in a sentence.
    """

    a: str
    b: str
    counts: str
    notes: Sequence[str]
    figures: Sequence[Headline]
    sides: Sequence[Sides]
    answers: tuple[int, int, int, int]
    test: str
    classes_note: str
    flips: Sequence[FlippedVideos]
    others: str


def render_comparison(page: ComparisonPage) -> str:
    """HTML; names and paths are text in it, whatever they hold."""
    return render(TEMPLATE, page)
