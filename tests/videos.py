"""Small H.264 files whose frames tell their number, and data sets made of them.

A frame shows its number as a grid of 4 x 4 black or white squares, one binary digit each. The squares survive lossy
coding, scaling to 16 pixels and the conversion of colours, so a frame that was read can be told apart exactly.
"""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType
from numpy.typing import ArrayLike
from PIL import Image

from slowfast.datasets.reading.rgb import RgbConverter

GRID = 4
MAX_FRAMES = 2 ** (GRID * GRID)
DARK, BRIGHT = 40, 215


def numbered_frame(number: int, height: int = 32, width: int = 32) -> np.ndarray:
    """Draw a number in [0, MAX_FRAMES): uint8 (height, width, 3); both sides are multiples of 4."""
    digits = (number >> np.arange(GRID * GRID)) & 1
    grid = np.where(digits.reshape(GRID, GRID), BRIGHT, DARK).astype(np.uint8)
    image = np.kron(grid, np.ones((height // GRID, width // GRID), np.uint8))
    return np.repeat(image[..., None], 3, axis=2)


def number_of(frame: ArrayLike) -> int:
    """Read the number of a whole frame, (H, W, 3), of any size from 16 pixels on."""
    brightness = np.asarray(frame, float).mean(axis=2)
    height, width = (side // GRID for side in brightness.shape)
    squares = brightness[: GRID * height, : GRID * width].reshape(GRID, height, GRID, width).mean(axis=(1, 3))
    return int((squares.flatten() > (DARK + BRIGHT) / 2) @ (1 << np.arange(GRID * GRID)))


def write_video(
    path: Path,
    num_frames: int,
    *,
    height: int = 32,
    width: int = 32,
    gop: int = 30,
    num_b_frames: int = 2,
    fps: int = 25,
    first_number: int = 0,
    is_faststart: bool = False,
) -> Path:
    """Write an H.264 file whose frame i shows the number ``first_number`` + i.

    Args:
        path: of the file; the suffix chooses the container. Folders are made if need be.
        num_frames: frames, at least 1.
        height, width: of the frame, multiples of 4.
        gop: frames from one key frame to the next.
        num_b_frames: B-frames between two others.
        fps: frames per second.
        first_number: number of the first frame.
        is_faststart: put the index of an mp4 file before the frames, so that a truncated file still opens.

    Returns:
        ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    x264_params = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={num_b_frames}:b-adapt=0:threads=1"
    container_options = {"movflags": "+faststart"} if is_faststart else {}
    with av.open(str(path), "w", options=container_options) as container:
        options = {"preset": "veryfast", "crf": "18", "x264-params": x264_params}
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(first_number, first_number + num_frames):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number, height, width), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    """Write a file that holds sound alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def decode_all(path: Path) -> tuple[np.ndarray, list[str]]:
    """Decode a whole file the plain way: uint8 (T, H, W, 3), as stored, and the kind of each frame (I, P or B)."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    kinds = [PictureType(frame.pict_type).name for frame in frames]
    return np.stack([to_rgb(frame) for frame in frames]), kinds


def to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """uint8 (H, W, 3), as stored; its colours are checked against the ffmpeg program's."""
    return RgbConverter(apply_rotation=False)(frame).copy()


def write_frames(
    folder: Path, num_frames: int, template: str = "{:05d}.jpg", first_number: int = 100, start: int = 1
) -> Path:
    """A folder of frames, of which file i + ``start`` shows the number ``first_number`` + i; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(num_frames):
        Image.fromarray(numbered_frame(first_number + i)).save(folder / template.format(i + start))
    return folder


def write_list(path: Path, rows: Sequence[tuple[str, int]], separator: str = ",") -> Path:
    """Write a list file of paths and labels."""
    path.write_text("".join(f"{video}{separator}{label}\n" for video, label in rows))
    return path


def write_video_set(
    root: Path, *, num_train: int = 8, num_val: int = 4, num_test: int = 6, num_frames: int = 8, num_classes: int = 2
) -> Path:
    """Write a data set in the Kinetics form: ``train.csv``, ``val.csv``, ``test.csv``, ``classes.txt``.

    Video i of a split has label i % num_classes and starts with number 32 * i (+ 0, 1000 or 2000 by split), so that a
    frame tells its video. Lists name the videos relative to ``root``.

    Returns:
        ``root``.
    """
    for offset, (split, num_videos) in zip(
        (0, 1000, 2000), {"train": num_train, "val": num_val, "test": num_test}.items(), strict=True
    ):
        rows = []
        for i in range(num_videos):
            name = f"videos/{split}_{i}.mp4"
            write_video(root / name, num_frames, first_number=offset + 32 * i)
            rows.append((name, i % num_classes))
        write_list(root / f"{split}.csv", rows)
    (root / "classes.txt").write_text("".join(f"class {label}\n" for label in range(num_classes)))
    return root


def write_damaged_video(path: Path, num_frames: int, *, gop: int, damaged: int) -> Path:
    """Write an mp4 file without B-frames in which random bytes stand in the middle of one frame.

    Args:
        path: of the file.
        num_frames: frames.
        gop: frames from one key frame to the next.
        damaged: which frame.
    """
    write_video(path, num_frames, height=64, width=96, gop=gop, num_b_frames=0)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        at, size = packets[damaged].pos, packets[damaged].size
    data = bytearray(path.read_bytes())
    data[at + size // 2 : at + size] = np.random.default_rng(0).bytes(size - size // 2)
    path.write_bytes(data)
    return path


def truncate(path: Path, after_frames: int) -> Path:
    """Cut an mp4 file, whose index stands before the frames, in the middle of a frame that is missed.

    What an encoder makes differs from run to run: a cut at some share of the bytes may fall between two frames, or into
    one that others do without. This one is also the last one shown of those before it.

    Args:
        path: as ``write_video`` writes it with ``is_faststart``.
        after_frames: frames, in the order of the file, that stay whole at least.
    """
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    shown_so_far = (max(packet.pts for packet in packets[: i + 1]) for i in range(len(packets)))
    last_shown = [packet.pts == latest for packet, latest in zip(packets, shown_so_far, strict=True)]
    cut = next(packet for i, packet in enumerate(packets) if i >= after_frames and last_shown[i])
    path.write_bytes(path.read_bytes()[: cut.pos + cut.size // 2])
    return path


def rename_codec(path: Path, name: str = "xxxx") -> Path:
    """Give the video of an mp4 file of H.264 a codec that nobody knows, in place; the length stays."""
    content = path.read_bytes()
    before, _, after = content.rpartition(b"avc1")
    path.write_bytes(before + name.encode() + after)
    return path
