"""The page of a test, ``report.html``: one file that opens nothing else."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from slowfast.visualization.templates import ClassTable, Headline, render

TEMPLATE = "report.html.j2"
_QUALITY = 72
_WIDEST = 4  # widths per height of a frame in a strip


class Problem(NamedTuple):
    """Videos with something wrong: what it is, and path and cause of each."""

    what: str
    rows: Sequence[tuple[str, str]]


class SheetItem(NamedTuple):
    """A video of a contact sheet: a picture as a data address, "" for none, and lines below it."""

    image: str
    lines: Sequence[str]


class Sheet(NamedTuple):
    """A contact sheet."""

    title: str
    note: str
    items: Sequence[SheetItem]


@dataclass(frozen=True, kw_only=True)
class Page(ClassTable):
    """What the page shows, beside the table of classes.

    Attributes:
        title, subtitle: what was tested, and how.
        figures: at the top.
        counts: how many videos were expected, scored and so on, in a sentence.
        has_intervals: whether there are any, which are then explained.
        problems: videos that do not count.
        probes: a table, its head first; () for none.
        curves: of the training, a picture as a data address; "" for none.
        class_names: in the order of the labels.
        videos: label, predicted, probability and path, each a list with one entry per scored video; empty of several
            labels per video, which have no confusion.
        pairs: label and prediction of the most frequent mistakes.
        sheets: of frames.
        facts: what the test was made of.
        settings: keys and values that differ from the defaults.
    """

    title: str
    subtitle: str
    figures: Sequence[Headline]
    counts: str
    has_intervals: bool = True
    problems: Sequence[Problem] = ()
    probes: Sequence[Sequence[str]] = ()
    curves: str = ""
    class_names: Sequence[str]
    videos: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    pairs: Sequence[tuple[int, int]] = ()
    sheets: Sequence[Sheet] = ()
    facts: Sequence[tuple[str, str]] = ()
    settings: Sequence[tuple[str, str]] = ()

    @property
    def has_confusion(self) -> bool:
        """Whether predictions can be told from labels one by one."""
        return bool(self.videos)

    @property
    def data(self) -> dict[str, Any]:
        """What the page's program works on."""
        return super().data | {
            "classes_in_order": list(self.class_names),
            "videos": dict(self.videos),
            "pairs": list(self.pairs),
        }


def render_page(page: Page) -> str:
    """HTML; names and paths are text in it, whatever they hold."""
    return render(TEMPLATE, page)


def picture_of_frames(frames: Sequence[np.ndarray], height_px: int) -> str:
    """Frames uint8 (H, W, 3) beside each other, as the data address of a JPEG.

    Frames of more than ``_WIDEST`` times their height are less high: a strip of them would be wider than a JPEG can be.
    """
    small = []
    for frame in frames:
        picture = Image.fromarray(frame)
        scale = min(height_px / picture.height, _WIDEST * height_px / picture.width)
        small.append(picture.resize([max(int(side * scale + 1e-6), 1) for side in picture.size]))
    strip = Image.new("RGB", (sum(picture.width for picture in small), max(picture.height for picture in small)))
    left = 0
    for picture in small:
        strip.paste(picture, (left, 0))
        left += picture.width
    content = io.BytesIO()
    strip.save(content, "JPEG", quality=_QUALITY)
    return _address("image/jpeg", content.getvalue())


def picture_of_figure(figure: Figure) -> str:
    """A figure as the data address of a PNG."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return _address("image/png", content.getvalue())


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
