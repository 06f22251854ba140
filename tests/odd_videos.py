"""Video files as they are found in the wild: codecs, containers and timestamps that make it hard to tell a frame.

All show numbers (see ``tests.videos``) over a moving pattern, on frames of 64 x 96 pixels unless said otherwise.
"""

import struct
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from hypothesis import strategies as st

from tests.videos import numbered_frame

HEIGHT, WIDTH = 64, 96
X264 = {"preset": "veryfast", "crf": "23"}


def noisy_frame(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A number over a moving pattern: uint8 (height, width, 3).

    The pattern makes every reference count, so that a frame that was decoded without one of its references differs.
    """
    tile = _tile(height + 64, width + 64)
    y, x = 3 * number % 64, 5 * number % 64
    image = np.zeros((height, width, 3))
    numbered = numbered_frame(number, height // 4 * 4, width // 4 * 4)
    image[: numbered.shape[0], : numbered.shape[1]] = numbered
    return np.clip(image + tile[y : y + height, x : x + width], 0, 255).astype(np.uint8)


@cache
def _tile(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(7).integers(-30, 30, (height, width, 3))


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
        times_ms: when each frame is shown; None for 25 frames per second.
        change: given the encoded packets, returns those to write.
        container_options: of the multiplexer.
        container_format: FFmpeg's name.
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
    words = {"threads": 1, "scenecut": 0, "b-adapt": 0} | {k.replace("_", "-"): v for k, v in parameters.items()}
    return X264 | {"x264-params": ":".join(f"{key}={value}" for key, value in words.items())}


# Changes of packets, for ``write_stream``


def shown_earlier(num_frames: int) -> Callable[[list[av.Packet]], list[av.Packet]]:
    """Move all times back, so that the first frames lie before zero."""

    def change(packets: list[av.Packet]) -> list[av.Packet]:
        for packet in packets:
            ticks = round(num_frames / 25 / packet.time_base)
            packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
        return packets

    return change


def times_of_decoding(packets: list[av.Packet]) -> list[av.Packet]:
    """Say that frames are shown when they are decoded, as careless programs do."""
    for packet in packets:
        packet.pts = packet.dts
    return packets


def without_first(num_packets: int) -> Callable[[list[av.Packet]], list[av.Packet]]:
    """Cut off the beginning, so that the file starts amid a group of pictures."""
    return lambda packets: packets[num_packets:]


VOP = b"\0\0\1\xb6"  # start code of an MPEG-4 picture
# A picture of kind P that is "not coded", for 25 frames per second.
PLACEHOLDER = VOP + bytes([0b01010011, 0b11001111])


def packed(packets: list[av.Packet]) -> list[av.Packet]:
    """Put each B picture that follows another kind into that one's packet, as DivX and Xvid do in avi files."""
    pictures = [bytes(packet) for packet in packets]
    is_b = [data[data.index(VOP) + len(VOP)] >> 6 == 2 for data in pictures]
    head = pictures[0].index(VOP)
    pictures[0] = pictures[0][:head] + b"\0\0\1\xb2DivX503b1393p" + pictures[0][head:]
    data: list[bytes] = []
    for i, picture in enumerate(pictures):
        if is_b[i] and not is_b[i - 1]:
            data[-1] += picture
        else:
            data.append(picture)
        # The place that the B picture left is filled where the run of B pictures ends.
        if is_b[i] and (i + 1 == len(pictures) or not is_b[i + 1]):
            data.append(PLACEHOLDER)
    result = []
    for i, content in enumerate(data):
        packet = av.Packet(content)
        packet.stream, packet.time_base, packet.is_keyframe = packets[i].stream, packets[i].time_base, i == 0
        packet.pts = packet.dts = round(i / 25 / packet.time_base)
        result.append(packet)
    return result


def with_hidden_keys(packets: list[av.Packet]) -> list[av.Packet]:
    """Split each VP9 key picture into one that is not shown and an order to show it, both in one packet.

    So do encoders with pictures that only serve as references ("alternative reference frames").
    """
    is_shown, show_the_first_reference, two_sizes_of_4_bytes = 0b10, 0b10001000, 0b11011001
    result = []
    for packet in packets:
        if packet.is_keyframe:
            data = bytes(packet)
            marker = bytes([two_sizes_of_4_bytes])
            sizes = marker + struct.pack("<2I", len(data), 1) + marker
            changed = av.Packet(bytes([data[0] & ~is_shown]) + data[1:] + bytes([show_the_first_reference]) + sizes)
            changed.stream, changed.time_base, changed.is_keyframe = packet.stream, packet.time_base, True
            changed.pts, changed.dts = packet.pts, packet.dts
            packet = changed
        result.append(packet)
    return result


# Changes of files


def turn(path: Path, m0: float, m1: float, m3: float, m4: float) -> Path:
    """Write into an mp4 file, of one track, how its frames are to be turned: (x, y) to (m0 x + m3 y, m1 x + m4 y)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44  # the matrix of the track's header
    assert struct.unpack_from(">9i", data, at) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    fixed = [round(65536 * number) for number in (m0, m1, 0, m3, m4, 0, 0, 0)]
    struct.pack_into(">9i", data, at, *fixed, 1 << 30)
    path.write_bytes(data)
    return path


# What a file says of how its frames are to be turned, and what that does to frames (..., H, W, C).
ORIENTATIONS: dict[str, tuple[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]]] = {
    "as stored": ((1, 0, 0, 1), lambda frames: frames),
    "clockwise": ((0, 1, -1, 0), lambda frames: np.rot90(frames, -1, axes=(-3, -2))),
    "counterclockwise": ((0, -1, 1, 0), lambda frames: np.rot90(frames, 1, axes=(-3, -2))),
    "upside down": ((-1, 0, 0, -1), lambda frames: np.rot90(frames, 2, axes=(-3, -2))),
    "left to right": ((-1, 0, 0, 1), lambda frames: np.flip(frames, axis=-2)),
    "top to bottom": ((1, 0, 0, -1), lambda frames: np.flip(frames, axis=-3)),
    "along the diagonal": ((0, 1, 1, 0), lambda frames: np.swapaxes(frames, -3, -2)),
    "across the diagonal": ((0, -1, -1, 0), lambda frames: np.flip(np.swapaxes(frames, -3, -2), axis=(-3, -2))),
}


def write_sizes(path: Path, codec: str, options: dict[str, str], sizes: Iterable[tuple[int, int]] = ()) -> Path:
    """A stream without B-frames that goes on in other sizes, as of a meeting: 10 frames each of (height, width)."""
    sizes = list(sizes) or [(HEIGHT, WIDTH), (48, 64), (96, 128)]
    with av.open(str(path), "w") as joined:
        for part, (height, width) in enumerate(sizes):
            one = write_stream(path.with_name("part.mkv"), codec, 10, options=options, height=height, width=width)
            with av.open(str(one)) as container:
                source = container.streams.video[0]
                if part == 0:
                    stream = joined.add_stream_from_template(source)
                for packet in container.demux(source):
                    if packet.size:
                        ticks = round(part * 0.4 / packet.time_base)
                        packet.pts, packet.dts, packet.stream = packet.pts + ticks, packet.pts + ticks, stream
                        joined.mux(packet)
            one.unlink()
    return path


# Kinds of files: name to a function that writes one into a folder

NUM_FRAMES = 40
B_FRAMES = x264(keyint=12, bframes=3)
X265 = {"preset": "ultrafast", "crf": "30"}
X265_PARAMS = "log-level=none:pools=none:frame-threads=1:keyint=12:min-keyint=12:bframes=3"
VP9 = {"deadline": "good", "cpu-used": "8", "g": "15", "crf": "40", "b": "0"}
VP8 = {"deadline": "realtime", "cpu-used": "8", "g": "15"}
RESILIENT_VP9 = VP9 | {"error-resilient": "1"}
MPEG4 = {"g": "12", "qscale": "3"}
KEEP_NEGATIVE = {"avoid_negative_ts": "disabled"}


def h264(name: str, options: dict[str, str] = B_FRAMES, **arguments) -> Callable[[Path], Path]:
    return lambda folder: write_stream(folder / name, "libx264", NUM_FRAMES, options=options, **arguments)


def hevc(name: str, params: str) -> Callable[[Path], Path]:
    options = X265 | {"x265-params": f"{X265_PARAMS}:{params}"}
    return lambda folder: write_stream(folder / name, "libx265", NUM_FRAMES, options=options)


def vp9(name: str, options: dict[str, str] = VP9, **arguments) -> Callable[[Path], Path]:
    return lambda folder: write_stream(folder / name, "libvpx-vp9", NUM_FRAMES, options=options, **arguments)


def mpeg4(name: str, num_b_frames: int, options: dict[str, str] = MPEG4, **arguments) -> Callable[[Path], Path]:
    options = options | {"bf": str(num_b_frames)}
    return lambda folder: write_stream(folder / name, "mpeg4", NUM_FRAMES, options=options, **arguments)


# What the packets tell for certain, so that groups of pictures without wanted frames are passed over.
INDEXED: dict[str, Callable[[Path], Path]] = {
    "H.264": h264("a.mp4"),
    "H.264 without B-frames": h264("a.mp4", x264(keyint=12, bframes=0)),
    "H.264, mkv": h264("a.mkv"),
    "H.264, full range": h264("a.mp4", x264(keyint=12, bframes=3, fullrange="on", colormatrix="bt709")),
    "H.264, pyramid of B-frames": h264("a.mkv", x264(keyint=12, bframes=7, b_pyramid="normal", ref=4)),
    "H.264, open groups": h264("a.mp4", x264(keyint=12, bframes=3, open_gop=1)),
    "H.264, open groups, mkv": h264("a.mkv", x264(keyint=7, bframes=3, open_gop=1, b_pyramid="normal")),
    "H.264, intra refresh": h264("a.mp4", x264(keyint=12, bframes=0, intra_refresh=1)),
    "H.264, several slices": h264("a.mp4", x264(keyint=12, bframes=3, slices=3)),
    "H.264, variable frame rate": h264("a.mp4", times_ms=[7 * i * i + i for i in range(NUM_FRAMES)]),
    "H.264, variable frame rate, mkv": h264("a.mkv", times_ms=[3 * i * i + i for i in range(NUM_FRAMES)]),
    "H.264, edit list": h264("a.mp4", change=shown_earlier(5), container_options=KEEP_NEGATIVE),
    "H.264, edit list past a key frame": h264("a.mov", change=shown_earlier(14), container_options=KEEP_NEGATIVE),
    "H.264, no edit list": h264("a.mp4", change=shown_earlier(5), container_options={"use_editlist": "0"}),
    "H.264, late start": h264("a.mp4", change=shown_earlier(-50)),
    "H.264, negative offsets": h264("a.mp4", container_options={"movflags": "negative_cts_offsets"}),
    "H.264, negative times": h264("a.ts", change=shown_earlier(5), container_options=KEEP_NEGATIVE),
    "H.264, fragments": h264("a.mp4", container_options={"movflags": "frag_keyframe+empty_moov"}),
    "H.264, flv": h264("a.flv"),
    "H.264, avi, no B-frames": h264("a.avi", x264(keyint=12, bframes=0)),
    "H.264, odd size": h264("a.mp4", pix_fmt="yuv444p", height=65, width=83),
    "H.264, size no multiple of 16": h264("a.mp4", height=66, width=82),
    "H.264, rotation": lambda folder: turn(h264("a.mp4")(folder), *ORIENTATIONS["clockwise"][0]),
    "HEVC": hevc("a.mp4", "open-gop=0"),
    "HEVC, open groups": hevc("a.mkv", "open-gop=1:b-pyramid=1"),
    "HEVC, temporal layers": hevc("a.mp4", "temporal-layers=3:b-pyramid=1"),
    "VP9": vp9("a.webm"),
    "VP9 with hidden frames": vp9("a.webm", RESILIENT_VP9, change=with_hidden_keys),
    "VP9, odd size": vp9("a.webm", height=65, width=83),
    "VP9, variable frame rate": vp9("a.webm", times_ms=[7 * i * i + i for i in range(NUM_FRAMES)]),
    "VP9, profile 1": vp9("a.webm", pix_fmt="yuv444p"),
    "MPEG-4, avi": mpeg4("a.avi", 0),
    "MPEG-4, avi, B-frames": mpeg4("a.avi", 2),
    "MPEG-4, mp4, B-frames": mpeg4("a.mp4", 2),
}
# Frames that change their size midway, each with its headers: 10 frames of 64 x 96 pixels, of 48 x 64 and of 96 x 128.
IN_BAND_H264 = x264(keyint=12, bframes=0, repeat_headers=1)
IN_BAND_HEVC = X265 | {"x265-params": X265_PARAMS.replace("bframes=3", "bframes=0:repeat-headers=1")}
SIZES: dict[str, Callable[[Path], Path]] = {
    "H.264, sizes": lambda folder: write_sizes(folder / "a.mp4", "libx264", IN_BAND_H264),
    "H.264, sizes, ts": lambda folder: write_sizes(folder / "a.ts", "libx264", IN_BAND_H264),
    "HEVC, sizes": lambda folder: write_sizes(folder / "a.mkv", "libx265", IN_BAND_HEVC),
    "VP8, sizes": lambda folder: write_sizes(folder / "a.webm", "libvpx", VP8),
    "VP9, sizes": lambda folder: write_sizes(folder / "a.webm", "libvpx-vp9", VP9),
}
# What only a full decode tells.
NOT_INDEXED: dict[str, Callable[[Path], Path]] = {
    "H.264, times of decoding": h264("a.mp4", change=times_of_decoding),
    "H.264, no times": h264("a.h264"),
    "H.264, some times missing": h264("a.mkv", change=shown_earlier(5), container_options=KEEP_NEGATIVE),
    "H.264, avi, B-frames": h264("a.avi"),
    "H.264, cut, ts": h264("a.ts", change=without_first(3)),
    "H.264, cut, mp4": h264("a.mp4", change=without_first(3)),
    "H.264, fields": h264("a.mp4", x264(keyint=12, bframes=3, interlaced=1)),
    "MPEG-4, packed B-frames": mpeg4("a.avi", 1, {"qscale": "3", "g": "12", "flags": "+bitexact"}, change=packed),
    "MPEG-4, packed B-frames in twos": mpeg4(
        "a.avi", 2, {"qscale": "3", "g": "100", "flags": "+bitexact"}, change=packed
    ),
    "MJPEG": lambda folder: write_stream(folder / "a.avi", "mjpeg", NUM_FRAMES, options={}, pix_fmt="yuvj420p"),
    "MPEG-2": lambda folder: write_stream(
        folder / "a.ts", "mpeg2video", NUM_FRAMES, options={"g": "12", "bf": "2"}, height=96
    ),
}

# Parameters of x264 that change the structure of a stream.
H264_STRUCTURES = st.fixed_dictionaries(
    {
        "keyint": st.sampled_from([1, 2, 5, 8, 30]),
        "bframes": st.integers(0, 7),
        "ref": st.sampled_from([1, 2, 4]),
        "b_pyramid": st.sampled_from(["none", "strict", "normal"]),
        "b_adapt": st.integers(0, 2),
        "open_gop": st.integers(0, 1),
        "weightp": st.integers(0, 2),
        "slices": st.sampled_from([1, 3]),
        "intra_refresh": st.sampled_from([0, 0, 0, 1]),
        "rc_lookahead": st.sampled_from([0, 10]),
    }
)
