"""Which frames of a stream a model looks at: windows of T frames, and how far one lies from the next."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from slowfast.datasets.sampling import FrameSampler, dense_indices


@dataclass(frozen=True)
class FrameGrid:
    """Windows over numbered frames: window k looks at frames k * stride + offset.

    Attributes:
        fps: frames per second of the stream.
        offsets: of the T frames of a window, ascending, from the window's first frame.
        num_frames: of a window, from its first frame to its last, looked at or not: what a file cut to it holds.
        span: frames that the window's seconds count: T times the step from one frame that it looks at to the next.
        stride: frames from one window to the next.
    """

    fps: float
    offsets: tuple[int, ...]
    num_frames: int
    span: int
    stride: int

    @property
    def window_s(self) -> float:
        """Seconds that a window spans."""
        return self.span / self.fps

    @property
    def stride_s(self) -> float:
        """Seconds from one window to the next."""
        return self.stride / self.fps

    @property
    def is_even(self) -> bool:
        """Whether the frames of a window lie equally far apart, and a stride is a number of such steps."""
        spacings = _spacings(self.offsets)
        return len(spacings) <= 1 and all(self.stride % spacing == 0 for spacing in spacings)

    @property
    def num_new(self) -> int:
        """Frames that a window looks at and the one before it does not."""
        return len({self.stride + offset for offset in self.offsets} - set(self.offsets))

    def slots(self) -> Iterator[int]:
        """Numbers of all frames that windows look at, ascending, without end."""
        number = self._first_slot(0)
        while True:
            yield number
            number = self._first_slot(number + 1)

    def frames_of(self, window: int) -> list[int]:
        """The T frames that a window looks at, ascending."""
        return [window * self.stride + offset for offset in self.offsets]

    def window_ending_at(self, number: int) -> int | None:
        """The window whose last frame this is; None for none."""
        window, rest = divmod(number - self.offsets[-1], self.stride)
        return window if rest == 0 and window >= 0 else None

    def _first_slot(self, number: int) -> int:
        """The first frame from a number on that windows look at; it may be far away."""
        return min(offset + max(-(-(number - offset) // self.stride), 0) * self.stride for offset in self.offsets)


def make_grid(
    sampler: FrameSampler,
    *,
    clip_len: int,
    fps: float,
    window_s: float | None,
    stride_s: float | None,
    dense_rate: int | None,
    shares_frames: bool,
) -> FrameGrid:
    """Round a window and a stride, in seconds, to frames of a stream.

    Args:
        sampler: chooses the frames of a clip, as in a test of the model.
        clip_len: T.
        fps: frames per second of the stream.
        window_s: seconds that a window spans; None, with ``dense_rate`` alone, for the clips of the model's tests.
        stride_s: seconds from one window to the next; None for the distance of two frames of a window, or, where
            windows do not share frames, for half a window.
        dense_rate: frames of a video from one frame of a clip to the next, where clips are sampled densely.
        shares_frames: windows share what is computed of a frame, which takes a stride of whole such distances.
    """
    if dense_rate is not None:
        step = dense_rate if window_s is None else _at_least_one(window_s * fps / clip_len)
        num_frames = clip_len * step
        offsets = dense_indices(num_frames, clip_len, step, view_idx=0)
    else:
        # Of one frame more than T steps, sparse sampling takes frames that lie equally far apart.
        step = _at_least_one(window_s * fps / clip_len)
        num_frames = clip_len * step + 1
        offsets = sampler(num_video_frames=num_frames, view_idx=0, num_views=1, rng=None)
    spacings = _spacings(offsets)
    # Frames that lie unequally far apart in a window are no others' in the next one.
    are_shared = shares_frames and len(spacings) <= 1
    unit = max(spacings, default=step) if are_shared else 1
    usual = unit if are_shared else max(num_frames // 2, 1)
    stride = usual if stride_s is None else unit * _at_least_one(stride_s * fps / unit)
    return FrameGrid(fps, tuple(offsets), num_frames, clip_len * step, stride)


def told_rounding(grid: FrameGrid, window_s: float | None, stride_s: float | None) -> list[str]:
    """What was rounded, in sentences; less than a thousandth is not worth a word.

    Args:
        grid: what it was rounded to.
        window_s, stride_s: what was asked for; None for nothing.
    """
    rate = f"the stream has {grid.fps:.5g} frames per second"
    told = []
    if window_s is not None and abs(grid.window_s / window_s - 1) > 1e-3:
        told.append(f"the window is {grid.window_s:.4g} s, not {window_s:g} s, for {len(grid.offsets)} frames: {rate}")
    if stride_s is not None and abs(grid.stride_s / stride_s - 1) > 1e-3:
        spacing_s = min(_spacings(grid.offsets), default=1) / grid.fps
        shared = f"a window's frames are {spacing_s:.4g} s apart, and windows share them only in whole such steps"
        told.append(f"the stride is {grid.stride_s:.4g} s, not {stride_s:g} s: {shared if grid.is_even else rate}")
    return told


def _spacings(offsets: tuple[int, ...] | list[int]) -> set[int]:
    return {later - earlier for earlier, later in pairwise(offsets)}


def _at_least_one(frames: float) -> int:
    return max(round(frames), 1)
