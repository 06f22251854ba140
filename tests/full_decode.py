"""A full decode of a file in one thread: what a reader of single frames has to give."""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from slowfast.datasets.reading.container import choose_video_stream
from slowfast.datasets.reading.rgb import RgbConverter


class Picture(NamedTuple):
    """What a full decode gives: the number of the packet, uint8 (H, W, 3), and whether FFmpeg calls it damaged."""

    packet: int | None
    rgb: np.ndarray
    is_flagged: bool


def decode_in_full(path: Path, without: Collection[int] = ()) -> tuple[list[Picture], list[int]]:
    """A full decode in one thread.

    Args:
        path: of the file.
        without: packets to leave out.

    Returns:
        The pictures in the order in which they are shown, damaged packets may give two; and the packets that fail.
    """
    pictures, failed, to_rgb = [], [], RgbConverter(apply_rotation=False)
    with av.open(str(path)) as container:
        stream = choose_video_stream(container)
        packets: list[av.Packet | None] = []
        with suppress(IndexError):  # PyAV's, where a stream appears midway
            packets.extend(packet for packet in container.demux(stream) if packet.size)
        for number, packet in enumerate([*packets, None]):
            if packet is not None:
                packet.pts = number
            try:
                for frame in [] if number in without else stream.codec_context.decode(packet):
                    pictures.append(Picture(frame.pts, to_rgb(frame).copy(), frame.is_corrupt))
            except av.FFmpegError:
                failed.append(number)
    return pictures, failed
