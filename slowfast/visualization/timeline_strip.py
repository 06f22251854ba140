"""A strip of key frames over a bar of coloured intervals: what a video shows, and when."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

NUM_KEY_FRAMES = 10
_WIDTH_INCHES, _DPI = 14.0, 110
# Classes with a colour of their own, by their share of the video; the others are grey.
_MOST_COLOURS = 10
_GREY = (0.75, 0.75, 0.75, 1.0)
_LONGEST_NAME = 36


class Span(NamedTuple):
    """A part of the video of one class; seconds, and the probability from 0 to 1."""

    start_s: float
    end_s: float
    name: str
    probability: float


def key_times(end_s: float) -> list[float]:
    """The times in seconds at whose frames the strip shows a video of ``end_s`` seconds."""
    return [(number + 0.5) * end_s / NUM_KEY_FRAMES for number in range(NUM_KEY_FRAMES)]


def draw_strip(spans: Sequence[Span], frames: Sequence[np.ndarray], *, title: str) -> Figure:
    """Draw key frames, intervals and a legend above each other.

    Args:
        spans: in their order, at least one; the last one ends with the video.
        frames: uint8 (H, W, 3) at ``key_times``, all of one size.
        title: above it.
    """
    end_s = spans[-1].end_s
    shares: Counter[str] = Counter()
    for span in spans:
        shares[span.name] += (span.end_s - span.start_s) / end_s
    named = [name for name, _ in shares.most_common(_MOST_COLOURS)]
    colours = {name: colormaps["tab10"](number) for number, name in enumerate(named)}
    height, width, _ = frames[0].shape
    frames_inches = _WIDTH_INCHES / len(frames) * height / width
    num_rows = -(-min(len(shares), _MOST_COLOURS + 1) // 3)
    heights = [frames_inches, 0.9, 0.25 * num_rows + 0.35]
    figure = Figure(figsize=(_WIDTH_INCHES, sum(heights) + 0.7), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_shown(title), fontsize="medium")
    above, bar, below = figure.subplots(3, 1, height_ratios=heights)
    _draw_frames(above, frames, end_s)
    _draw_bar(bar, spans, colours, end_s)
    handles = [Patch(color=colours[name], label=_with_share(_shown(name), shares[name])) for name in named]
    if len(shares) > len(named):
        rest = 1 - sum(shares[name] for name in named)
        handles.append(Patch(color=_GREY, label=_with_share(f"{len(shares) - len(named)} other classes", rest)))
    below.legend(handles=handles, loc="upper center", ncols=3, frameon=False, fontsize="small")
    below.set_axis_off()
    return figure


def _draw_frames(axes: Axes, frames: Sequence[np.ndarray], end_s: float) -> None:
    for number, frame in enumerate(frames):
        left, right = (place * end_s / len(frames) for place in (number, number + 1))
        axes.imshow(frame, extent=(left, right, 0, 1), aspect="auto")
    axes.set_xlim(0, end_s)
    axes.set_ylim(0, 1)
    axes.set_axis_off()


def _draw_bar(axes: Axes, spans: Sequence[Span], colours: dict[str, tuple[float, ...]], end_s: float) -> None:
    """A bar for each interval, as high as its probability."""
    for span in spans:
        colour = colours.get(span.name, _GREY)
        axes.bar(
            span.start_s,
            span.probability,
            width=span.end_s - span.start_s,
            align="edge",
            color=colour,
            edgecolor="white",
            linewidth=0.5,
        )
    axes.set_xlim(0, end_s)
    axes.set_ylim(0, 1)
    axes.set_ylabel("probability", fontsize="small")
    axes.xaxis.set_major_locator(MaxNLocator(12, steps=[1, 2, 3, 6, 10] if end_s > 100 else None))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _clock(at, end_s)))
    axes.tick_params(labelsize="small")


def _clock(seconds: float, end_s: float) -> str:
    """Minutes and seconds, with hours for long videos and tenths or hundredths for short ones."""
    if end_s < 1:
        return f"{seconds:.2f} s"
    if end_s < 20:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if end_s >= 3600 else f"{minutes}:{whole % 60:02d}"


def _shown(name: str) -> str:
    """A name that is not too long, and that Matplotlib takes as it is: no formula, not one to hide, on one line, and
    without bytes of a file's name that are no text."""
    name = " ".join(name.encode("utf-8", "replace").decode().split())
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 3]}..."
    name = name.replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name


def _with_share(name: str, share: float) -> str:
    """``share`` is of the whole time."""
    return f"{name} ({100 * share:.0f} % of the time)"
