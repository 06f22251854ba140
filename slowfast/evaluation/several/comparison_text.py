"""A comparison of two tests in lines for people."""

from collections.abc import Sequence

from slowfast.evaluation.several.comparison import ClassDifference, Comparison, FigureDifference, Flip, McNemar, Range

FIGURES = {
    "top1": "top-1",
    "top5": "top-5",
    "mean_class_accuracy": "mean class accuracy",
    "macro_f1": "macro F1",
    "mean_average_precision": "mean average precision",
}
CLASS_MEASURES = {"accuracy": "accuracy", "average_precision": "average precision"}
NUM_CLASSES = 10
NUM_FLIPS = 10
_LONGEST_NAME = 28
LEVEL = 0.05


def describe_comparison(comparison: Comparison) -> list[str]:
    """The figures of both, the test, the classes that moved most, and the videos that flipped."""
    return [
        f"A: {printable(comparison.a)}",
        f"B: {printable(comparison.b)}",
        counted(comparison),
        *comparison.notes,
        "",
        *_figures(comparison.figures),
        "",
        mcnemar_in_words(comparison.mcnemar),
        "",
        *_classes(comparison),
        "",
        *_flips("videos right in A alone", comparison.lost),
        "",
        *_flips("videos right in B alone", comparison.won),
        "",
        others_in_words(comparison),
    ]


def counted(comparison: Comparison) -> str:
    """How many videos are compared, and how many are not."""
    told = f"{comparison.videos} videos in both"
    if comparison.a_left_out or comparison.b_left_out:
        told += f"; left out: {comparison.a_left_out} that only A has, {comparison.b_left_out} that only B has"
    return told


def mcnemar_in_words(test: McNemar) -> str:
    """The counts, the p-value, and what it says."""
    told = f"McNemar's test of top-1: right in A alone: {test.only_a}, in B alone: {test.only_b}; "
    told += f"p = {test.p_value:.2g} (exact)"
    if test.statistic is not None:
        told += f", chi-squared {test.statistic:.2f} (1 degree of freedom)"
    if test.p_value < LEVEL:
        return f"{told}: chance alone seldom does that"
    return f"{told}: chance alone may do that"


def others_in_words(comparison: Comparison) -> str:
    """The videos that neither has right, in different ways."""
    return f"videos wrong in both, in different ways: {comparison.num_other_mistakes}"


def interval_in_words(interval: Range) -> str:
    """Of percentage points."""
    return "" if interval[0] != interval[0] else f"[{interval[0]:+.2f}, {interval[1]:+.2f}]"


def _figures(figures: Sequence[FigureDifference]) -> list[str]:
    lines = [
        "figures in percent; B - A in percentage points, with a paired 95 % interval",
        f"  {'':23}{'A':25}{'B':25}B - A",
    ]
    for figure in figures:
        sides = "".join(
            f"{_with_interval(value, interval):25}"
            for value, interval in ((figure.a, figure.a_interval), (figure.b, figure.b_interval))
        )
        told = f"{figure.difference:+.2f} {interval_in_words(figure.interval)}"
        lines.append(f"  {FIGURES[figure.name]:23}{sides}{told}")
    return lines


def _with_interval(value: float, interval: Range | None) -> str:
    return f"{value:.2f}" if interval is None else f"{value:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"


def _classes(comparison: Comparison) -> list[str]:
    moved = [row for row in comparison.classes if row.difference]
    what = CLASS_MEASURES[comparison.class_measure]
    if not moved:
        return [f"classes: none of {len(comparison.classes)} has another {what}"]
    head = f"classes that moved most, by {what} in percent ({len(moved)} of {len(comparison.classes)} moved)"
    width = max(len(shortened(row.name)) for row in moved[:NUM_CLASSES])
    return [head, *(_class_line(row, width) for row in moved[:NUM_CLASSES]), *_more(len(moved) - NUM_CLASSES)]


def _class_line(row: ClassDifference, width: int) -> str:
    told = f"  {shortened(row.name):{width}}  {row.a:6.1f} -> {row.b:6.1f}  {row.difference:+7.1f}"
    told += "" if row.interval is None else f" [{row.interval[0]:+.1f}, {row.interval[1]:+.1f}]"
    return f"{told}  videos: {row.videos}"


def _flips(what: str, flips: Sequence[Flip]) -> list[str]:
    lines = [f"{what}: {len(flips)}" + (", the most confident mistakes first" if len(flips) > 1 else "")]
    for flip in flips[:NUM_FLIPS]:
        guesses = ", ".join(
            f"{side}: {shortened(name)} {100 * probability:.1f} %"
            for side, name, probability in (("A", flip.a, flip.a_probability), ("B", flip.b, flip.b_probability))
        )
        lines.append(f"  {printable(flip.path)}  is: {shortened(flip.label)}; {guesses}")
    return [*lines, *_more(len(flips) - NUM_FLIPS)]


def _more(number: int) -> list[str]:
    return [f"  and {number} more (--json and --html have all)"] if number > 0 else []


def shortened(name: str) -> str:
    """A name of a class that leaves room for others on its line."""
    shown = printable(name)
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 3]}..."


def printable(text: str) -> str:
    """Text on one line, with escapes in place of characters that are none of a line or not of UTF-8."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
