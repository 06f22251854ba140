"""A model on a stream: one prediction per window, of a source of any length, in memory that does not grow."""

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple

import av
import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.datasets.build import build_file_list
from slowfast.datasets.catalog import DATASET_REGISTRY, DatasetEntry, build_dense_sampler
from slowfast.datasets.transforms.pipeline import EvalTransform
from slowfast.engine.scoring import Scorer
from slowfast.errors import UserError
from slowfast.evaluation.views import combine_views, why_not_finite
from slowfast.inference.arguments import check_number
from slowfast.inference.results import WindowPrediction
from slowfast.inference.streaming.frame_feed import Frame, FrameFeed, NewestOnly
from slowfast.inference.streaming.frame_grid import FrameGrid, make_grid, told_rounding
from slowfast.inference.streaming.window_memory import TokenRing, ViewStore, WindowMemory
from slowfast.models.registry import VideoModel
from slowfast.runtime.precision import autocast

logger = logging.getLogger(__name__)

# Of videos that a model may have been trained on, where nothing says how long they were.
ASSUMED_WINDOW_S = 10.0
# Of a window or a stride: more than a year.
LONGEST_S = 1e8


FrameIterator = Generator[Frame, None, None]
# Class names and probabilities of scores (K,), and all probabilities.
Naming = Callable[[Tensor], tuple[Sequence[tuple[str, float]], Tensor]]


class _Picked(NamedTuple):
    """A frame that windows look at, and the numbers for which it stands: its own, and those of frames left out."""

    stretch: int
    slots: tuple[int, ...]
    time_s: float
    picture: av.VideoFrame

    def replacing(self, earlier: "_Picked") -> "_Picked":
        return self._replace(slots=earlier.slots + self.slots) if earlier.stretch == self.stretch else self


class Stream:
    """Predictions of the windows of a stream, one after the other: iterate over it, once.

    Args:
        model: on its device, in evaluation mode.
        cfg: the whole config.
        feed: of the frames.
        name_classes: from scores to names.
        window_s, stride_s: see ``VideoClassifier.stream``.
        usual_window_s: of the videos that the model was trained on, if that is known.

    Attributes:
        grid: the windows, in frames.
        notes: what is rounded, assumed or not reused, in sentences.
        reuses_frames: whether every frame goes through most of the network only once.
        num_windows: predictions so far.
        num_not_finite: windows so far for which the model gave no finite scores; there are no predictions of them.
        end_s: of the last frame so far, since the first one, looked at or not.
    """

    def __init__(
        self,
        model: VideoModel,
        cfg: CfgNode,
        feed: FrameFeed,
        name_classes: Naming,
        *,
        window_s: float | None = None,
        stride_s: float | None = None,
        usual_window_s: float | None = None,
    ) -> None:
        accepted = f"seconds above 0, up to {LONGEST_S:g}"
        check_number("window_s", usual_window_s if window_s is None else window_s, accepted=accepted, highest=LONGEST_S)
        check_number("stride_s", stride_s, accepted=accepted, highest=LONGEST_S)
        self._feed, self._name_classes = feed, name_classes
        self.notes: list[str] = []
        is_dense = _entry(cfg).build_sampler is build_dense_sampler
        span_s = window_s if is_dense or window_s is not None else self._default_window(cfg, usual_window_s)
        self.grid = make_grid(
            build_file_list(cfg, []).sampler,
            clip_len=cfg.DATA.NUM_FRAMES,
            fps=feed.fps,
            window_s=span_s,
            stride_s=stride_s,
            dense_rate=cfg.DATA.SAMPLING_RATE if is_dense else None,
            shares_frames=model.has_frame_tokens,
        )
        self.notes += told_rounding(self.grid, window_s, stride_s)
        self.reuses_frames = model.has_frame_tokens and self.grid.is_even
        self.notes += [] if self.reuses_frames else [self._why_not_reused(model)]
        self._scorer = Scorer.from_config(cfg, next(model.parameters()).device)
        self._model = model
        self._transform = EvalTransform(size=cfg.DATA.TEST_CROP_SIZE)
        self._channels = [2, 1, 0] if cfg.DATA.CHANNEL_ORDER == "bgr" else [0, 1, 2]
        self._newest: NewestOnly[_Picked] | None = None
        self._is_read = False
        self.num_windows, self.num_not_finite, self.end_s = 0, 0, 0.0
        for note in self.notes:
            logger.info("%s: %s", feed.name, note)

    @property
    def num_dropped(self) -> int:
        """Frames that were left out because computing was slower than the stream."""
        return 0 if self._newest is None else self._newest.num_dropped

    def __iter__(self) -> Generator[WindowPrediction, None, None]:
        if self._is_read:
            raise UserError(f"{self._feed.name}: is read already: a stream is iterated over once; open another one")
        self._is_read = True
        picked = _pick(self._seen(self._feed.frames()), self.grid)
        if self._feed.is_live:
            self._newest = NewestOnly(picked)
            picked = iter(self._newest)
        stretch, memory, times = -1, None, {}
        with closing(picked):
            for frame in picked:
                if frame.stretch != stretch:
                    stretch, memory, times = frame.stretch, self._new_memory(), {}
                memory.add(frame.slots, self._view(frame.picture))
                times.update(dict.fromkeys(frame.slots, frame.time_s))
                # Where a frame stands for several that were left out, windows that ended with them are passed over.
                window = self.grid.window_ending_at(frame.slots[-1])
                if window is not None and (prediction := self._predict(memory, window, times)) is not None:
                    yield prediction
                times = {slot: at for slot, at in times.items() if slot > frame.slots[-1] - self.grid.num_frames}

    def _seen(self, frames: FrameIterator) -> FrameIterator:
        with closing(frames):
            for frame in frames:
                self.end_s = frame.time_s + 1 / self.grid.fps
                yield frame

    def summary(self) -> list[str]:
        """What is to be said at the end, in sentences: what was left out, and why the source ended."""
        feed, told = self._feed, []
        if feed.ended:
            told.append(feed.ended)
        if feed.num_reconnects:
            told.append(f"it broke off and came back {feed.num_reconnects} times; windows began anew each time")
        if feed.num_damaged:
            told.append(f"{feed.num_damaged} frames were damaged, or decoded from such, and were left out")
        if self.num_dropped:
            told.append(f"{self.num_dropped} frames were left out because computing was slower than the stream")
        if self.num_not_finite:
            told.append(f"{self.num_not_finite} windows have no prediction: the model's output for them is not finite")
        elif not self.num_windows:
            told.append(
                f"no window was full: one takes {self.grid.num_frames} frames ({self.grid.window_s:.4g} s), and the "
                f"source ended after {self.end_s:.4g} s; --window_s makes it shorter"
            )
        return told

    def _default_window(self, cfg: CfgNode, usual_window_s: float | None) -> float:
        window_s = usual_window_s or _entry(cfg).video_s
        if window_s is None:
            self.notes.append(
                f"nothing says how long the videos were that the model was trained on; the window is "
                f"{ASSUMED_WINDOW_S:g} s unless you give another"
            )
        return window_s or ASSUMED_WINDOW_S

    def _why_not_reused(self, model: VideoModel) -> str:
        if model.has_frame_tokens:
            return "the frames of a window do not lie equally far apart: every window is computed as a whole"
        return (
            "the model joins frames from its first layers on, so that nothing computed for one window serves the next: "
            "every window is computed as a whole"
        )

    def _new_memory(self) -> WindowMemory:
        scorer = self._scorer
        computing = (
            self._model,
            lambda view: scorer.normalize(view.to(scorer.device)),
            partial(autocast, scorer.device, scorer.autocast_dtype),
        )
        if self.reuses_frames:
            return TokenRing(*computing, len(self.grid.offsets))
        return ViewStore(*computing, self.grid)

    def _view(self, picture: av.VideoFrame) -> Tensor:
        """The centre crop of a frame, as in a test: uint8 (1, C, 1, H, W)."""
        frame = torch.from_numpy(self._feed.to_rgb(picture)[None])
        if self._channels != [0, 1, 2]:
            frame = torch.stack([frame[..., channel] for channel in self._channels], dim=-1)
        return self._transform(frame.permute(0, 3, 1, 2))[0].unsqueeze(2).contiguous()

    def _predict(self, memory: WindowMemory, window: int, times: dict[int, float]) -> WindowPrediction | None:
        """The prediction of a window; None if it is not finite."""
        scorer, frames = self._scorer, self.grid.frames_of(window)
        logits = memory.logits(window)
        scores = combine_views(
            logits,
            1,
            has_probabilities=scorer.has_probabilities,
            method=scorer.method,
            is_multi_label=scorer.is_multi_label,
        )[0]
        if any(why_not_finite(logits[None], scores[None])):
            self.num_not_finite += 1
            return None
        classes, probabilities = self._name_classes(scores)
        # Some files say of a few frames that they are shown at the same time.
        start_s = max(times[frames[0]] - self.grid.offsets[0] / self.grid.fps, 0.0)
        end_s = times[frames[-1]] + (self.grid.num_frames - self.grid.offsets[-1]) / self.grid.fps
        self.num_windows += 1
        return WindowPrediction(start_s, end_s, classes, scores, probabilities, logits[0], self.num_dropped)


def _entry(cfg: CfgNode) -> DatasetEntry:
    return DATASET_REGISTRY.find("TEST.DATASET", cfg.TEST.DATASET)


def _pick(frames: FrameIterator, grid: FrameGrid) -> Generator[_Picked, None, None]:
    """The frames that windows look at. One that is missing is replaced by the next; after a gap longer than a window,
    or an interruption, windows begin anew."""
    segment, stretch, first, last = -1, -1, 0, 0
    slots, waiting = iter(()), 0
    with closing(frames):
        for frame in frames:
            if frame.segment != segment or frame.number - last > grid.num_frames:
                segment, stretch, first = frame.segment, stretch + 1, frame.number
                slots = grid.slots()
                waiting = next(slots)
            last = frame.number
            taken = []
            while waiting <= frame.number - first:
                taken.append(waiting)
                waiting = next(slots)
            if taken:
                yield _Picked(stretch, tuple(taken), frame.time_s, frame.picture)
