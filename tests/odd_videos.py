"""Video files as they are found in the wild: codecs, containers and timestamps that make it hard to tell a frame.

All show numbers (see ``tests.videos``), on frames of 64 x 96 pixels unless said otherwise.
"""

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.videos import numbered_frame

HEIGHT, WIDTH = 64, 96
X264 = {"preset": "veryfast", "crf": "23"}


def noisy_frame(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A number over a moving pattern: uint8 (height, width, 3).

    The pattern makes every reference count, so that a frame that was decoded without one of its references differs.
    """
    tile = np.random.default_rng(7).integers(-30, 30, (height + 64, width + 64, 3))
    y, x = 3 * number % 64, 5 * number % 64
    image = np.zeros((height, width, 3))
    numbered = numbered_frame(number, height // 4 * 4, width // 4 * 4)
    image[: numbered.shape[0], : numbered.shape[1]] = numbered
    return np.clip(image + tile[y : y + height, x : x + width], 0, 255).astype(np.uint8)


def write_stream(
    path: Path,
    codec: str,
    num_frames: int,
    *,
    options: dict[str, str],
    height: int = HEIGHT,
    width: int = WIDTH,
    pix_fmt: str = "yuv420p",
    times_ms: Iterable[int] | None = None,
    change: Callable[[list[av.Packet]], list[av.Packet]] = lambda packets: packets,
    container_options: dict[str, str] | None = None,
    container_format: str | None = None,
) -> Path:
    """Encode and multiplex frames.

    Args:
        path: of the file; the suffix chooses the container unless ``container_format`` does.
        codec: FFmpeg's name of the encoder.
        num_frames: frames, at least 1.
        options: of the encoder.
        height, width, pix_fmt: of the frames.
        times_ms: when each frame is shown; None for 25 frames a second.
        change: given the encoded packets, returns those to write.
        container_options: of the multiplexer.
    """
    with av.open(str(path), "w", format=container_format, options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        times = None if times_ms is None else list(times_ms)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        packets = []
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(noisy_frame(number, height, width), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            packets += stream.encode(frame)
        for packet in change(packets + stream.encode()):
            container.mux(packet)
    return path


def x264(**parameters: object) -> dict[str, str]:
    """Options of libx264; underscores stand for hyphens."""
    words = {"threads": 1, "scenecut": 0, "b-adapt": 0, **{k.replace("_", "-"): v for k, v in parameters.items()}}
    return X264 | {"x264-params": ":".join(f"{key}={value}" for key, value in words.items())}
