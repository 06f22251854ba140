"""From the files of two tests to the files of their comparison."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import simplejson

from slowfast.evaluation.report import TestReport
from slowfast.evaluation.scored_files import load_scores
from slowfast.evaluation.several.alignment import align
from slowfast.evaluation.several.comparison import Comparison, Flip, Range, compare_tests
from slowfast.evaluation.several.comparison_text import (
    FIGURES,
    counted,
    mcnemar_in_words,
    others_in_words,
    printable,
)
from slowfast.runtime.files import write_text
from slowfast.visualization.comparison_page import ComparisonPage, FlippedVideos, Sides, render_comparison
from slowfast.visualization.templates import Headline

_CLASSES_NOTES = {
    "accuracy": "Percent of the videos of each class that are found. From and to are the paired 95 % interval of the "
    "difference; of many classes, a few have by chance an interval that does not hold 0.",
    "average_precision": "Average precision of each class that a video shows.",
}


def compare_files(a: Path, b: Path, *, in_common: bool = False) -> Comparison:
    """Compare two tests.

    Args:
        a, b: OUTPUT_DIRs of tests, or files, see ``load_scores``.
        in_common: leave out the videos that only one of them has.

    Raises:
        UserError: if one cannot be read, or they are not of the same classes, videos and labels.
    """
    (report_a, videos_a), (report_b, videos_b) = (load_scores(path) for path in (a, b))
    aligned = align([str(a), str(b)], [videos_a, videos_b], in_common=in_common)
    return compare_tests(str(a), str(b), aligned, _notes(report_a, report_b))


def write_comparison(file: Path, comparison: Comparison) -> None:
    """Write it as JSON.

    Raises:
        UserError: if it cannot be written.
    """
    write_text(file, simplejson.dumps(asdict(comparison), indent=2, ignore_nan=True) + "\n")


def write_comparison_page(file: Path, comparison: Comparison) -> None:
    """Write it as a page that opens nothing else.

    Raises:
        UserError: if it cannot be written.
    """
    bounds = ["From %", "To %"] if comparison.class_measure == "accuracy" else []
    columns = ["Class", "B - A %", "A %", "B %", *bounds, "Videos"]
    rows = [[row.name, row.difference, row.a, row.b, *(row.interval or ()), row.videos] for row in comparison.classes]
    test = comparison.mcnemar
    page = ComparisonPage(
        a=printable(comparison.a),
        b=printable(comparison.b),
        counts=f"{counted(comparison)}.",
        notes=comparison.notes,
        figures=_headlines(comparison),
        sides=_sides(comparison),
        answers=(test.both, test.only_a, test.only_b, test.neither),
        test=f"{mcnemar_in_words(test)}.",
        classes_note=_CLASSES_NOTES[comparison.class_measure],
        columns=columns,
        # As the page shows them: rounded twice, 24.047 would come to 24.1.
        classes=[[round(cell, 1) if isinstance(cell, float) else cell for cell in row] for row in rows],
        bar=1,
        sorted_by=1,
        flips=[
            FlippedVideos("Videos right in A alone", _rows(comparison.lost)),
            FlippedVideos("Videos right in B alone", _rows(comparison.won)),
        ],
        others=f"{others_in_words(comparison).capitalize()}.",
    )
    write_text(file, render_comparison(page))


def _headlines(comparison: Comparison) -> list[Headline]:
    figures = []
    for figure in comparison.figures:
        name = FIGURES[figure.name]
        has_interval = figure.interval[0] == figure.interval[0]  # one video has none of mean average precision
        note = "95 %: {:+.2f} to {:+.2f}".format(*figure.interval) if has_interval else ""
        figures.append(Headline(name[0].upper() + name[1:], f"{figure.difference:+.2f}", note))
    return figures


def _sides(comparison: Comparison) -> list[Sides]:
    def told(interval: Range | None) -> str:
        return "" if interval is None else "{:.2f} to {:.2f}".format(*interval)

    return [
        Sides(FIGURES[row.name], f"{row.a:.2f} %", told(row.a_interval), f"{row.b:.2f} %", told(row.b_interval))
        for row in comparison.figures
    ]


def _rows(flips: Sequence[Flip]) -> list[tuple[str, str, str, str]]:
    return [
        (
            printable(flip.path),
            flip.label,
            f"{flip.a} {100 * flip.a_probability:.1f} %",
            f"{flip.b} {100 * flip.b_probability:.1f} %",
        )
        for flip in flips
    ]


def _notes(report_a: TestReport | None, report_b: TestReport | None) -> list[str]:
    """What both reports tell that a reader should know: what the tests were of, and what went wrong."""
    notes = []
    for name, report in (("A", report_a), ("B", report_b)):
        if report is None:
            notes.append(f"{name} is a file of scores, which does not tell what was tested")
            continue
        notes.append(f"{name} is {printable(report.setting.checkpoint)}, {printable(report.setting.in_words())}")
        if report.failed or report.unscored:
            notes.append(
                f"{name} has no scores of {report.failed + report.unscored} of its {report.expected} videos, which "
                f"count in no figure"
            )
    return notes
