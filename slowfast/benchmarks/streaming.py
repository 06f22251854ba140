"""What a stream saves by computing each frame once, how fast it is, and whether its memory stays as it is."""

from collections.abc import Generator
from itertools import cycle
from time import perf_counter, process_time
from typing import NamedTuple

import av
import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.benchmarks.measure import Timing, time_alternately
from slowfast.errors import UserError
from slowfast.inference.streaming.frame_feed import Frame, FrameFeed
from slowfast.inference.streaming.stream import Stream
from slowfast.inference.streaming.window_memory import TokenRing
from slowfast.models import build_model
from slowfast.models.registry import VideoModel
from slowfast.runtime.memory import resident_bytes

_TICK, _WHOLE = "one new frame", "whole window"


class Saving(NamedTuple):
    """Figures of one number of frames.

    Attributes:
        num_frames: T.
        tick: a window of a stream, with one new frame.
        whole: a window that is computed as a whole.
        difference: of the logits of the two ways, the largest, over the largest logit.
    """

    num_frames: int
    tick: Timing
    whole: Timing
    difference: float


def measure_saving(cfg: CfgNode, device: torch.device, *, num_rounds: int) -> Saving:
    """Time both ways to the logits of a window, in turns, with random weights and random frames.

    Args:
        cfg: the whole config.
        device: CPU or GPU.
        num_rounds: timed windows each way.

    Raises:
        UserError: for a model that joins frames from its first layers on.
    """
    model = _with_frame_tokens(cfg).to(device)
    num_frames, size = cfg.DATA.NUM_FRAMES, cfg.DATA.TEST_CROP_SIZE
    views = list(torch.randint(0, 256, (num_frames, 1, 3, 1, size, size), dtype=torch.uint8))
    clip, endless = torch.cat(views, dim=2), cycle(views)

    def normalized(pixels: Tensor) -> Tensor:
        return pixels.to(device).float() / 255 - 0.5

    ring = TokenRing(model, normalized, torch.no_grad, num_frames)

    def tick() -> Tensor:
        ring.add([0], next(endless))
        return ring.logits(0)

    @torch.inference_mode()
    def whole() -> Tensor:
        return model(normalized(clip)).cpu()

    for _ in range(num_frames - 1):
        tick()
    expected = whole()
    difference = float((tick() - expected).abs().max() / expected.abs().max())
    timings = time_alternately({_WHOLE: whole, _TICK: tick}, num_rounds, device)
    return Saving(num_frames, timings[_TICK], timings[_WHOLE], difference)


def describe_savings(savings: list[Saving]) -> list[str]:
    """A Markdown table. Where a machine is shared, CPU time says more than the clock."""
    lines = [
        "| frames T | whole window, s | one new frame, s | ratio, median | shortest | CPU time, median | shortest "
        "| shortest CPU time / T | difference of logits |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for num_frames, tick, whole, difference in savings:
        ratios = [long / short for long, short in zip(whole, tick, strict=True)]
        told = " | ".join(f"{ratio:.2f}" for ratio in ratios)
        share = ratios[-1] / num_frames
        lines.append(
            f"| {num_frames} | {whole.wall_s:.3f} | {tick.wall_s:.3f} | {told} | {share:.2f} | {difference:.2g} |"
        )
    return lines


class MadeUpFeed:
    """Frames of noise in place of a source: a ``FrameFeed`` for measurements.

    Args:
        num_frames: until it ends.
        size_px: side of the frames.
    """

    name, ended, is_live, num_damaged, num_reconnects, fps = "made up", "", False, 0, 0, 25.0

    def __init__(self, num_frames: int, size_px: int = 64) -> None:
        self._num_frames, self._size_px = num_frames, size_px

    def frames(self) -> Generator[Frame, None, None]:
        """See ``FrameFeed``."""
        rng = np.random.default_rng(0)
        for number in range(self._num_frames):
            pixels = rng.integers(0, 256, (self._size_px, self._size_px, 3), np.uint8)
            yield Frame(0, number, number / self.fps, av.VideoFrame.from_ndarray(pixels, format="rgb24"))

    def to_rgb(self, picture: av.VideoFrame) -> np.ndarray:
        """See ``FrameFeed``."""
        return picture.to_ndarray(format="rgb24")


def measure_memory(cfg: CfgNode, *, num_frames: int, num_readings: int = 10) -> list[tuple[int, int]]:
    """Resident memory of this process while a stream of ``num_frames`` frames goes by, one window per new frame.

    Returns:
        Frames so far and bytes, ``num_readings`` times; the first reading comes when a tenth has gone by.
    """
    window_s = 2 * cfg.DATA.NUM_FRAMES / MadeUpFeed.fps
    stream = Stream(
        _with_frame_tokens(cfg), cfg, MadeUpFeed(num_frames), lambda scores: ([], scores), window_s=window_s
    )
    readings = []
    for window in stream:
        so_far = round(window.end_s * MadeUpFeed.fps)
        if so_far >= (len(readings) + 1) * num_frames // num_readings - stream.grid.num_frames:
            readings.append((so_far, resident_bytes()))
    return readings


class Decisions(NamedTuple):
    """What came of a stream that was read as fast as it goes.

    Attributes:
        num_windows: predictions.
        num_frames: of the file.
        wall_s, cpu_s: from the first prediction to the last; the CPU time is that of all threads of the process.
    """

    num_windows: int
    num_frames: int
    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        rates = (self.num_windows / seconds for seconds in (self.wall_s, self.cpu_s))
        per_s = "{:.1f} predictions per second, {:.1f} per second of CPU time".format(*rates)
        return f"{self.num_windows} predictions, {self.num_frames} frames decoded: {per_s}"


def measure_decisions(cfg: CfgNode, video: str, *, window_s: float, stride_s: float) -> Decisions:
    """Read a video to its end, decoding included, one prediction per window, with random weights.

    Args:
        cfg: the whole config.
        video: a file.
        window_s, stride_s: see ``VideoClassifier.stream``.

    Raises:
        UserError: if the video cannot be read, or has fewer than two windows.
    """
    feed = FrameFeed(video, name=video)
    windows = {"window_s": window_s, "stride_s": stride_s}
    stream = Stream(_random_model(cfg), cfg, feed, lambda scores: ([], scores), **windows)
    predictions = iter(stream)
    if next(predictions, None) is None:
        raise UserError(f"{video}: {' '.join(stream.summary())}")
    wall_s, cpu_s, num_before = perf_counter(), process_time(), stream.end_s
    num_windows = sum(1 for _ in predictions)
    wall_s, cpu_s = perf_counter() - wall_s, process_time() - cpu_s
    if not num_windows:
        raise UserError(f"{video}: has one window of {window_s:g} s; make it shorter")
    return Decisions(num_windows, round((stream.end_s - num_before) * feed.fps), wall_s, cpu_s)


@torch.no_grad()
def _random_model(cfg: CfgNode) -> VideoModel:
    """With weights that are not zero where training starts at zero, so that every part has a say in the logits."""
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return model


def _with_frame_tokens(cfg: CfgNode) -> VideoModel:
    """A random model that computes each frame of a stream once."""
    model = _random_model(cfg)
    if not model.has_frame_tokens:
        raise UserError(f"{cfg.MODEL.MODEL_NAME} of this config joins frames from its first layers on")
    return model
