"""Curves of training: loss, accuracy, learning rate, gradient and times of one or several runs in one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from slowfast.errors import UserError
from slowfast.visualization.metrics_file import RunMetrics

_NUM_COLUMNS = 2
_FEW_POINTS, _MANY_POINTS = 30, 300  # up to few each gets a marker; of more than many, noise hides the course
_NUM_MEDIANS = 100
_WIDE_SPREAD = 10.0  # factor between the median and an end of the values, from which on they go on a log scale
_LEGEND_CHARACTERS = 130  # that fit side by side above the panels
_LONGEST_NAME = 60


class Curve(NamedTuple):
    """One field of the lines of one kind, and how it is drawn.

    Attributes:
        kind, field: of the log.
        label: in the legend.
        style: of the line.
        is_noisy: where there are many points, they are drawn pale beneath the medians of neighbours.
    """

    kind: str
    field: str
    label: str
    style: str = "-"
    is_noisy: bool = False


class Panel(NamedTuple):
    """Curves that share axes.

    Attributes:
        title, curves: what it shows.
        has_zero: the values begin at 0, which says more than their differences.
        may_be_log: on a log scale where values of the first curve spread widely.
    """

    title: str
    curves: tuple[Curve, ...]
    has_zero: bool = True
    may_be_log: bool = False


PANELS = (
    Panel("loss", (Curve("train", "loss", "training", is_noisy=True),), has_zero=False),
    Panel(
        "accuracy (%)",
        (
            Curve("train", "top1", "training, top-1", ":", is_noisy=True),
            Curve("val", "top1", "validation, top-1"),
            Curve("val", "top5", "validation, top-5", "--"),
            Curve("val_ema", "top1", "EMA of weights, top-1", "-."),
            Curve("val_ema", "top5", "EMA of weights, top-5", (0, (6, 1, 1, 1, 1, 1))),
        ),
    ),
    Panel("learning rate", (Curve("train", "lr", "training"),)),
    Panel("norm of the gradient", (Curve("train", "grad_norm", "training", is_noisy=True),), may_be_log=True),
    Panel(
        "seconds per step",
        (Curve("train", "step_time_s", "all"), Curve("train", "data_time_s", "waiting for data", ":")),
        may_be_log=True,
    ),
    Panel("clips/s", (Curve("train", "clips_per_s", "training"),)),
)


def draw_curves(runs: Sequence[RunMetrics]) -> Figure:
    """Draw every panel over the steps, and over the epochs where all runs have as many steps in one.

    One run has a colour for each curve; of several, each run has a colour and each curve a style of line.

    Args:
        runs: at least one.
    """
    num_rows = -(-len(PANELS) // _NUM_COLUMNS)
    figure = Figure(figsize=(6.5 * _NUM_COLUMNS, 3.2 * num_rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(num_rows, _NUM_COLUMNS, sharex=True, squeeze=False)
    for axes, panel in zip(grid.flat, PANELS, strict=True):
        _draw_panel(axes, panel, runs)
    for axes in grid[-1]:
        axes.set_xlabel("steps")
    epoch_lengths = {run.steps_per_epoch for run in runs}
    if len(epoch_lengths) == 1 and None not in epoch_lengths:
        (steps_per_epoch,) = epoch_lengths
        for axes in grid[0]:
            _add_epochs(axes, steps_per_epoch)
    _name_runs(figure, runs)
    return figure


def check_picture_name(path: Path) -> None:
    """Make sure that ``save_figure`` will know the format that the suffix names.

    Raises:
        UserError: if there is no such format.
    """
    formats = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in formats:
        raise UserError(f"{path}: the suffix names no format of pictures; accepted: {', '.join(sorted(formats))}")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture in the format that the suffix names.

    Raises:
        UserError: if there is no such format or the file cannot be written.
    """
    check_picture_name(path)
    try:
        figure.savefig(path)
    except OSError as error:
        raise UserError(f"{path}: it cannot be written: {error.strerror}") from None


def _draw_panel(axes: Axes, panel: Panel, runs: Sequence[RunMetrics]) -> None:
    drawn: dict[str, Line2D] = {}
    for i, run in enumerate(runs):
        for k, curve in enumerate(panel.curves):
            steps, values = run.series(curve.kind, curve.field)
            if np.isfinite(values).any():
                color = _color(k if len(runs) == 1 else i)
                if curve.is_noisy and len(values) > _MANY_POINTS:
                    axes.plot(steps, values, color=color, alpha=0.2, linewidth=0.6)
                    steps, values = medians_of_neighbours(steps, values, _NUM_MEDIANS)
                line = _draw_curve(axes, steps, values, color=color, style=curve.style)
                drawn.setdefault(curve.label, line)
    axes.set_title(panel.title, fontsize="medium", loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    if not drawn:
        axes.text(0.5, 0.5, "no values yet", transform=axes.transAxes, ha="center", va="center", color="gray")
        axes.set_yticks([])
        return
    if panel.may_be_log and _is_spread_widely(panel.curves[0], runs):
        axes.set_yscale("log")
    elif panel.has_zero:
        top = axes.get_ylim()[1]
        axes.set_ylim(-0.03 * top, top)  # markers at 0 are seen whole
    if len(panel.curves) > 1:
        _name_curves(axes, panel, drawn, is_by_style=len(runs) > 1)


def _name_curves(axes: Axes, panel: Panel, drawn: dict[str, Line2D], *, is_by_style: bool) -> None:
    """The legend of a panel: within it, or below where many curves would be covered."""
    handles = [
        Line2D([], [], color="black" if is_by_style else line.get_color(), linestyle=curve.style, label=curve.label)
        for curve in panel.curves
        if (line := drawn.get(curve.label)) is not None
    ]
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.02), "ncols": 3, "frameon": False}
    axes.legend(handles=handles, fontsize="small", handlelength=3.0, **(place if len(handles) > 2 else {}))


def _draw_curve(axes: Axes, steps: np.ndarray, values: np.ndarray, *, color: object, style: str) -> Line2D:
    """A line, with markers where it would not be seen otherwise: few points, or one between gaps."""
    is_finite = np.isfinite(values)
    has_neighbour = np.zeros(len(values), dtype=bool)
    has_neighbour[1:] |= is_finite[:-1]
    has_neighbour[:-1] |= is_finite[1:]
    is_marked = is_finite if is_finite.sum() <= _FEW_POINTS else is_finite & ~has_neighbour
    marks = {"marker": "o", "markersize": 3.5, "markevery": np.flatnonzero(is_marked).tolist()}
    (line,) = axes.plot(steps, values, color=color, linestyle=style, linewidth=1.3, **marks)
    return line


def medians_of_neighbours(steps: np.ndarray, values: np.ndarray, num_parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean step and median value of each of ``num_parts`` equal parts; NaN where not half of a part are numbers.

    Args:
        steps, values: (N,), N at least ``num_parts``.
        num_parts: length of what is returned.
    """
    parts = np.array_split(values, num_parts)
    medians = [np.nanmedian(part) if 2 * np.isfinite(part).sum() >= len(part) else np.nan for part in parts]
    return np.array([part.mean() for part in np.array_split(steps, num_parts)]), np.array(medians)


def _is_spread_widely(curve: Curve, runs: Sequence[RunMetrics]) -> bool:
    values = np.concatenate([run.series(curve.kind, curve.field)[1] for run in runs])
    values = values[np.isfinite(values)]
    if len(values) == 0 or values.min() <= 0:
        return False
    median = np.median(values)
    return values.max() > _WIDE_SPREAD * median or median > _WIDE_SPREAD * values.min()


def _add_epochs(axes: Axes, steps_per_epoch: int) -> None:
    functions = (lambda steps: steps / steps_per_epoch, lambda epochs: epochs * steps_per_epoch)
    top = axes.secondary_xaxis("top", functions=functions)
    top.set_xlabel("epochs", fontsize="small")
    top.tick_params(labelsize="small")
    top.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _name_runs(figure: Figure, runs: Sequence[RunMetrics]) -> None:
    names = [_shown(run.name) for run in runs]
    if len(runs) == 1:
        figure.suptitle(names[0])
        return
    handles = [Line2D([], [], color=_color(i), linewidth=3.0) for i in range(len(runs))]
    num_columns = max(_LEGEND_CHARACTERS // (max(map(len, names)) + 8), 1)
    figure.legend(handles, names, loc="outside upper center", ncols=min(num_columns, len(names)), frameon=False)


def _shown(name: str) -> str:
    """A name that is not too long, and that Matplotlib takes as it is: text, no formula, and not one to hide."""
    name = name.encode("utf-8", "backslashreplace").decode()  # of a folder whose name is not UTF-8
    if len(name) > _LONGEST_NAME:
        name = f"...{name[3 - _LONGEST_NAME :]}"
    name = name.replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name


def _color(i: int) -> tuple[float, ...]:
    return colormaps["tab10"](i) if i < 10 else colormaps["tab20b"](i % 20)
