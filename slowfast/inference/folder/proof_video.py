"""A video that nobody filmed, in which every frame, place and direction is different."""

from pathlib import Path

import numpy as np

from slowfast.datasets.preparation.encoding import encode_h264

HEIGHT, WIDTH, FPS = 256, 340, 30
NUM_WAVES = 12


def write_proof_video(path: Path, num_frames: int, *, seed: int = 0) -> None:
    """Write waves of many lengths that drift in all directions, each colour its own, so that no frame is like another
    and nothing is symmetric.

    Args:
        path: of the mp4 file.
        num_frames: at least 1.
        seed: of the waves.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    times = np.arange(num_frames, dtype=np.float32)
    # (waves, 3): lengths from 8 pixels to the whole picture, periods from 12 frames on.
    lengths_px = np.exp(rng.uniform(np.log(8), np.log(WIDTH), (NUM_WAVES, 3)))
    angles = rng.uniform(0, 2 * np.pi, (NUM_WAVES, 3))
    periods = rng.uniform(12, 90, (NUM_WAVES, 3))
    phases = rng.uniform(0, 2 * np.pi, (NUM_WAVES, 3))
    frames = np.empty((num_frames, HEIGHT, WIDTH, 3), np.uint8)
    for colour in range(3):
        waves = np.zeros((num_frames, HEIGHT, WIDTH), np.float32)
        for wave in range(NUM_WAVES):
            angle, length_px = angles[wave, colour], lengths_px[wave, colour]
            place = (rows * np.sin(angle) + columns * np.cos(angle)) * np.float32(2 * np.pi / length_px)
            moved = 2 * np.pi * times / periods[wave, colour] + phases[wave, colour]
            # Of one wave: sin(place - moved) = sin(place) cos(moved) - cos(place) sin(moved).
            waves += np.sin(place)[None] * np.cos(moved)[:, None, None].astype(np.float32)
            waves -= np.cos(place)[None] * np.sin(moved)[:, None, None].astype(np.float32)
        # A slow change of brightness tells one end from the other.
        waves *= (0.6 + 0.8 * times / num_frames)[:, None, None]
        frames[..., colour] = np.clip(128 + 110 / np.sqrt(NUM_WAVES) * waves, 0, 255).astype(np.uint8)
    encode_h264(path, frames, fps=FPS, key_frame_interval=30)
