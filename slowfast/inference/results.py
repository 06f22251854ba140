"""What a trained model says: of a video, and of a window of a stream."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """What a model says of one video.

    Attributes:
        path: of the video; "input 2" for the third one that came as bytes or frames.
        classes: names and probabilities of the most probable classes, the best first. Classes that nobody named are
            "class 17", counted from 0.
        scores: float32 (K,), as a test writes them to predictions.csv; empty if there is an error.
        probabilities: float32 (K,); see ``VideoClassifier.probabilities``.
        truncated: why the video ends early, as far as that is known; "" for a whole one.
        error: why there is none: the video could not be read, or a score is not finite; "" if there is one.
    """

    path: str
    classes: Sequence[tuple[str, float]] = ()
    scores: Tensor = field(default_factory=partial(torch.empty, 0))
    probabilities: Tensor = field(default_factory=partial(torch.empty, 0))
    truncated: str = ""
    error: str = ""

    def __str__(self) -> str:
        told = ", ".join(f"{name} {100 * value:.1f} %" for name, value in self.classes)
        return f"{self.path}: {self.error or told}"


@dataclass(frozen=True)
class Features:
    """What a model makes of one video before it decides.

    Attributes:
        path: as of a ``Prediction``.
        clips: float32 (V, C), one row per view: temporal clip v // crops, spatial crop v % crops. With tokens,
            float32 (V, C, T, H, W).
        truncated: as of a ``Prediction``.
        error: why there are none: the video could not be read, or a number is not finite; "" if there are.
    """

    path: str
    clips: Tensor = field(default_factory=partial(torch.empty, 0))
    truncated: str = ""
    error: str = ""

    @property
    def video(self) -> Tensor:
        """The mean over the views: float32 (C,), or with tokens (C, T, H, W)."""
        return self.clips.mean(dim=0)


@dataclass(frozen=True)
class WindowPrediction:
    """What a model says of one window of a stream.

    Attributes:
        start_s, end_s: of the window, since the first frame of the stream.
        classes: names and probabilities of the most probable classes, the best first.
        scores, probabilities, logits: float32 (K,); the first as of a ``Prediction`` with one view, "1x1".
        num_dropped: frames so far that were left out because computing was slower than the stream.
    """

    start_s: float
    end_s: float
    classes: Sequence[tuple[str, float]]
    scores: Tensor
    probabilities: Tensor
    logits: Tensor
    num_dropped: int = 0
