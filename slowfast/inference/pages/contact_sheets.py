"""Contact sheets of a test: frames of the videos that tell most about its mistakes."""

from typing import Any

import numpy as np
from fvcore.common.config import CfgNode

from slowfast.datasets.build import build_file_list
from slowfast.datasets.reading.source import VideoReadError
from slowfast.datasets.reading.time_limit import call_within
from slowfast.evaluation.report_files import ScoredVideos
from slowfast.inference.inputs import Inputs, gathered
from slowfast.inference.pages.shown_names import ShownNames
from slowfast.visualization.report_page import Sheet, SheetItem, picture_of_frames

NUM_IN_SHEET = 24
NUM_FRAMES = 4
HEIGHT_PX = 90


def contact_sheets(videos: ScoredVideos, names: ShownNames, cfg: CfgNode) -> list[Sheet]:
    """Frames of the most confident mistakes and the least confident hits; of several labels, a hit is any of them.

    Args:
        videos: scored ones.
        names: what videos are called.
        cfg: the test's config, which says how videos are read.
    """
    if not len(videos.labels):
        return []
    predicted = videos.scores.argmax(dim=1)
    probability = videos.probabilities.gather(1, predicted[:, None])[:, 0].numpy()
    if videos.labels.ndim == 2:
        is_right = (videos.labels.gather(1, predicted[:, None])[:, 0] > 0).numpy()
    else:
        is_right = (videos.labels == predicted).numpy()
    order = np.argsort(-probability, kind="stable")
    mistakes = order[~is_right[order]][:NUM_IN_SHEET]
    hits = order[is_right[order]][::-1][:NUM_IN_SHEET]
    chosen = [videos.paths[i] for i in [*mistakes, *hits]]
    files = build_file_list(cfg, []).open_source
    with gathered(chosen, files, apply_rotation=cfg.DATA.APPLY_ROTATION) as inputs:

        def items(rows: np.ndarray) -> list[SheetItem]:
            return [_item(int(i), videos, predicted, probability, names, inputs, cfg) for i in rows]

        frames = f"{NUM_FRAMES} frames of each, evenly from its beginning to its end"
        told = {
            "Most confident mistakes": (mistakes, frames),
            "Least confident hits": (hits, frames),
        }
        return [Sheet(title, note, items(rows)) for title, (rows, note) in told.items() if len(rows)]


def _item(
    row: int,
    videos: ScoredVideos,
    predicted: Any,
    probability: np.ndarray,
    names: ShownNames,
    inputs: Inputs,
    cfg: CfgNode,
) -> SheetItem:
    path, label = videos.paths[row], videos.labels[row]
    shown = [int(label)] if label.ndim == 0 else label.nonzero().flatten().tolist()
    true = ", ".join(_name(videos, idx) for idx in shown) or "no class"
    lines = [f"{_name(videos, int(predicted[row]))} {100 * probability[row]:.1f} %", f"is: {true}", names(path)]
    try:
        picture = call_within(cfg.DATA_LOADER.VIDEO_TIMEOUT_S or None, _picture, path, inputs)
    except TimeoutError:
        return SheetItem("", [*lines, "its frames were not read in time"])
    except (VideoReadError, OSError, ValueError) as error:  # the last of paths that no system takes
        return SheetItem("", [*lines, f"its frames cannot be read: {names.text(str(error), path)}"])
    return SheetItem(picture, lines)


def _picture(path: str, inputs: Inputs) -> str:
    with inputs.open_source(path) as source:
        wanted = [int((part + 0.5) * source.num_frames / NUM_FRAMES) for part in range(NUM_FRAMES)]
        frames = source.read(wanted)
    return picture_of_frames(list(frames.numpy()), HEIGHT_PX)


def _name(videos: ScoredVideos, label: int) -> str:
    return f"class {label}" if videos.class_names is None else videos.class_names[label]
