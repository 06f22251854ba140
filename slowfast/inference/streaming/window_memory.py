"""What a stream keeps of its frames, and how a window of them becomes logits."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor

from slowfast.inference.streaming.frame_grid import FrameGrid
from slowfast.models.registry import VideoModel

Normalize = Callable[[Tensor], Tensor]


class WindowMemory(Protocol):
    """Takes the frames of windows in their order, and computes the windows. Its size does not grow."""

    def add(self, slots: Sequence[int], view: Tensor) -> None:
        """Take a frame.

        Args:
            slots: numbers of the frames that it stands for, ascending, following those of the call before.
            view: uint8 (1, C, 1, H, W).
        """

    def logits(self, window: int) -> Tensor:
        """Compute a window whose last frame was the last one taken: float32 (1, K) on the CPU."""


class TokenRing:
    """Keeps the tokens of the last T frames: each frame goes through most of the network once.

    What joins frames is computed anew for every window, over the whole of it: a convolution over time that was kept
    would have seen frames beyond the window's ends, where a clip has none.

    Tokens stand twice, T places apart, so that the last T frames are always one piece of memory, in their order.

    Args:
        model: with ``has_frame_tokens``.
        normalize: takes uint8 views on the CPU to what the model takes, on its device.
        autocast: gives the context that the model computes in.
        clip_len: T.
    """

    def __init__(
        self,
        model: VideoModel,
        normalize: Normalize,
        autocast: Callable[[], AbstractContextManager],
        clip_len: int,
    ) -> None:
        self._model, self._normalize, self._autocast, self._clip_len = model, normalize, autocast, clip_len
        self._rings: list[Tensor] = []  # (1, 2 T, ...)
        self._oldest = 0

    def add(self, slots: Sequence[int], view: Tensor) -> None:
        """See ``WindowMemory``."""
        with torch.inference_mode(), self._autocast():
            tokens = self._model.frame_tokens(self._normalize(view))
            if not self._rings:
                self._rings = [each.new_zeros(1, 2 * self._clip_len, *each.shape[2:]) for each in tokens]
            for _ in slots[-self._clip_len :]:
                for ring, each in zip(self._rings, tokens, strict=True):
                    ring[:, self._oldest] = ring[:, self._oldest + self._clip_len] = each[:, 0]
                self._oldest = (self._oldest + 1) % self._clip_len

    def logits(self, window: int) -> Tensor:
        """See ``WindowMemory``."""
        with torch.inference_mode(), self._autocast():
            tokens = [ring[:, self._oldest : self._oldest + self._clip_len] for ring in self._rings]
            return self._model.forward_head(self._model.forward_tokens(tokens)).float().cpu()


class ViewStore:
    """Keeps the pixels of the frames, and computes the whole network for every window.

    Args:
        model, normalize, autocast: as of ``TokenRing``; the model may be any.
        grid: of the windows.
    """

    def __init__(
        self,
        model: VideoModel,
        normalize: Normalize,
        autocast: Callable[[], AbstractContextManager],
        grid: FrameGrid,
    ) -> None:
        self._model, self._normalize, self._autocast, self._grid = model, normalize, autocast, grid
        self._views: dict[int, Tensor] = {}

    def add(self, slots: Sequence[int], view: Tensor) -> None:
        """See ``WindowMemory``."""
        self._views.update(dict.fromkeys(slots, view))
        oldest = slots[-1] - self._grid.offsets[-1]
        self._views = {number: each for number, each in self._views.items() if number >= oldest}

    def logits(self, window: int) -> Tensor:
        """See ``WindowMemory``."""
        clip = torch.cat([self._views[number] for number in self._grid.frames_of(window)], dim=2)
        with torch.inference_mode(), self._autocast():
            return self._model(self._normalize(clip)).float().cpu()
