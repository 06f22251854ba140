"""A confusion matrix as a picture."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

SIDE_PX = 800
# More names than these stand too close to be read.
_MOST_NAMES = 40
_LONGEST_NAME = 24


def draw_confusion(confusion: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Draw the share of each class's videos that is predicted as each class.

    Args:
        confusion: int64 (K, K), videos by their class (row) and prediction (column).
        names: of the classes; they are left out where there are too many to be read.

    Returns:
        uint8 (800, 800, 3).
    """
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(100.0 * confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)
    figure = Figure(figsize=(8, 8), dpi=SIDE_PX // 8, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, interpolation="nearest")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("class")
    if len(names) <= _MOST_NAMES:
        # As plain text: a dollar sign in a name begins no formula.
        told = [
            name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
            for name in names
        ]
        axes.set_xticks(range(len(names)), told, rotation=90, parse_math=False)
        axes.set_yticks(range(len(names)), told, parse_math=False)
    figure.colorbar(image, ax=axes, shrink=0.7, label="percent of the class's videos")
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]
