"""Made-up frames to a video file."""

import os
from pathlib import Path

import av
import numpy as np

from slowfast.runtime.files import writing


def encode_h264(path: Path, frames: np.ndarray, *, fps: int, key_frame_interval: int) -> None:
    """Encode frames as an mp4 file, which appears whole or not at all; its bytes depend on the frames and the library
    versions only.

    Args:
        path: of the file.
        frames: uint8 (T, H, W, 3), RGB; H and W even.
        fps: frames per second.
        key_frame_interval: frames from one key frame to the next.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # Fixed frame types: scene cuts would add key frames and b-adapt=1 drop B-frames as the encoder likes. mbtree
    # is off because its AVX-512 code lets bytes differ from run to run (seen in x264 core 165).
    x264_params = f"keyint={key_frame_interval}:scenecut=0:bframes=2:b-adapt=0:mbtree=0:threads=1"
    with writing(path):
        try:
            # From the root on, no folder is taken for the name of a protocol, as "a:b" would be.
            name = os.path.abspath(temporary)
            with av.open(name, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
                options = {"preset": "veryfast", "crf": "20", "x264-params": x264_params}
                stream = container.add_stream("libx264", rate=fps, options=options)
                _, stream.height, stream.width, _ = frames.shape
                stream.pix_fmt = "yuv420p"
                for frame in frames:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
                container.mux(stream.encode())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
