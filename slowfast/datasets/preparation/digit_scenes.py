"""Scenes of a digit that moves over a still, textured background, and their frames.

A motion and its reversal are rendered as one forward path, played one way or the other, so the unordered set of
frames, or one frame taken at random, is the same for both: who ignores the order of the frames tells the four pairs
apart and guesses within a pair, 50 % at best.
"""

from dataclasses import dataclass

import numpy as np

MOTIONS: tuple[str, ...] = (
    "left",
    "right",
    "up",
    "down",
    "clockwise",
    "counter-clockwise",
    "growing",
    "shrinking",
)

NUM_FRAMES_RANGE = (50, 75)  # both ends included: 2 to 3 seconds
# Some sides are no multiple of 16, the H.264 macroblock, so that readers meet cropped frames too.
SIZES_PX: tuple[tuple[int, int], ...] = (  # (height, width)
    (64, 64),
    (64, 80),
    (80, 64),
    (64, 84),
    (84, 64),
    (72, 72),
    (72, 96),
    (96, 72),
)

_GLYPH_SIDE = 64  # pixels of the enlarged digit that frames are sampled from
_FORWARD_PATHS = {"right": "horizontal", "down": "vertical", "clockwise": "rotation", "growing": "scale"}
_REVERSALS = {"left": "right", "up": "down", "counter-clockwise": "clockwise", "shrinking": "growing"}


@dataclass(frozen=True)
class Scene:
    """All that is drawn for one video, whatever its motion; every scene can play all eight motions.

    Offsets are measured from the centre of the frame to the centre of the digit, x to the right and y down.
    """

    background: np.ndarray  # (H, W, 3) float64 in [0, 255]
    colour: np.ndarray  # (3,) float64 in [0, 255], of the digit
    num_frames: int  # T
    side_px: float  # of the square that holds the digit; for growing and shrinking the geometric mean
    offset_x_px: float  # unused by horizontal motions
    offset_y_px: float  # unused by vertical motions
    travel_px: float  # translations go from -travel_px to +travel_px
    tilt_rad: float  # clockwise; for rotations the angle halfway
    arc_rad: float  # angle that a rotation covers
    scale_ratio: float  # largest over smallest side in growing and shrinking


@dataclass(frozen=True, kw_only=True)
class SceneRanges:
    """What scenes are drawn from, uniformly between two bounds.

    Attributes:
        side: of the digit's square, over the short side of the frame.
        offset: of the digit from the centre, at most, over the short side.
        tilt_deg: of the digit, at most.
        arc_turns: that a rotation covers, in turns.
        scale_ratio: largest over smallest side in growing and shrinking.
    """

    side: tuple[float, float]
    offset: float
    tilt_deg: float
    arc_turns: tuple[float, float]
    scale_ratio: tuple[float, float]


# Motions to be told apart: large, and at any angle.
MOTION_RANGES = SceneRanges(side=(0.40, 0.50), offset=0.1, tilt_deg=180, arc_turns=(0.5, 1.0), scale_ratio=(2.0, 2.6))
# Digits to be read: large and nearly upright, for a six upside down is a nine; they move little.
DIGIT_RANGES = SceneRanges(side=(0.55, 0.70), offset=0.05, tilt_deg=10, arc_turns=(0.05, 0.1), scale_ratio=(1.1, 1.25))


def draw_scene(rng: np.random.Generator, ranges: SceneRanges) -> Scene:
    """Draw a scene; all motions stay inside the central square of the frame."""
    height, width = SIZES_PX[rng.integers(len(SIZES_PX))]
    short_px = min(height, width)
    side_px = rng.uniform(*ranges.side) * short_px
    offset_x_px, offset_y_px = rng.uniform(-ranges.offset, ranges.offset, size=2) * short_px
    texture = 0.7 * _enlarge(rng.standard_normal((6, 6)), height, width)
    texture += 0.3 * _enlarge(rng.standard_normal((18, 18)), height, width)
    tint = rng.uniform(30, 90, size=3) + rng.uniform(15, 35, size=3) * texture[..., None]
    return Scene(
        background=np.clip(tint, 0, 130),
        colour=rng.uniform(190, 255, size=3),
        num_frames=int(rng.integers(NUM_FRAMES_RANGE[0], NUM_FRAMES_RANGE[1] + 1)),
        side_px=side_px,
        offset_x_px=offset_x_px,
        offset_y_px=offset_y_px,
        travel_px=rng.uniform(0.8, 1.0) * (short_px - side_px) / 2,
        tilt_rad=np.deg2rad(rng.uniform(-ranges.tilt_deg, ranges.tilt_deg)),
        arc_rad=rng.uniform(*ranges.arc_turns) * 2 * np.pi,
        scale_ratio=rng.uniform(*ranges.scale_ratio),
    )


def _enlarge(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Enlarge smoothly, with Gaussian weights: (h, w) -> float64 (height, width)."""

    def weights(num_in: int, num_out: int) -> np.ndarray:
        positions = (np.arange(num_out) + 0.5) * num_in / num_out - 0.5
        kernel = np.exp(-(((positions[:, None] - np.arange(num_in)) / 0.55) ** 2) / 2)
        return kernel / kernel.sum(axis=1, keepdims=True)  # (num_out, num_in)

    # einsum, not a BLAS product: its sums keep their order whatever the number of threads.
    columns = np.einsum("Hh,hw->Hw", weights(image.shape[0], height), image)
    return np.einsum("Hw,Ww->HW", columns, weights(image.shape[1], width))


def _place_glyph(glyph: np.ndarray, scene: Scene, path: str, progress: float) -> np.ndarray:
    """Sample the glyph, bilinearly, at ``progress`` in [-1, 1] of a forward path.

    Args:
        glyph: (G, G), opacity in [0, 1].

    Returns:
        float64 (H, W), opacity in [0, 1].
    """
    height, width, _ = scene.background.shape
    centre_x = scene.travel_px * progress if path == "horizontal" else scene.offset_x_px
    centre_y = scene.travel_px * progress if path == "vertical" else scene.offset_y_px
    angle = scene.tilt_rad + (scene.arc_rad / 2 * progress if path == "rotation" else 0.0)
    side = scene.side_px * (scene.scale_ratio ** (progress / 2) if path == "scale" else 1.0)

    x = np.arange(width) - (width - 1) / 2 - centre_x  # (W,)
    y = (np.arange(height) - (height - 1) / 2 - centre_y)[:, None]  # (H, 1)
    # Looking up the source turns against the motion: y points down, so a growing angle is clockwise on screen.
    cos, sin = (len(glyph) / side) * np.cos(angle), (len(glyph) / side) * np.sin(angle)
    middle = (len(glyph) + 1) / 2  # of the padded glyph
    padded = np.pad(glyph, 1)  # what lies outside is transparent
    glyph_x, glyph_y = (np.clip(z + middle, 0, len(padded) - 1) for z in (cos * x + sin * y, cos * y - sin * x))
    left, top = (np.minimum(z.astype(np.intp), len(padded) - 2) for z in (glyph_x, glyph_y))
    dx, dy = glyph_x - left, glyph_y - top
    upper = (1 - dx) * padded[top, left] + dx * padded[top, left + 1]
    lower = (1 - dx) * padded[top + 1, left] + dx * padded[top + 1, left + 1]
    return (1 - dy) * upper + dy * lower


def render_motion(motion: str, scene: Scene, digit: np.ndarray) -> np.ndarray:
    """Render a video's frames, without encoding.

    The same scene and digit under a motion and under its reversal give the same frames in opposite order.

    Args:
        motion: one of ``MOTIONS``, as seen on the screen.
        scene: what ``plan_video`` drew.
        digit: (8, 8), ink from 0 to 16 as in ``load_digits().images``.

    Returns:
        uint8 (T, H, W, 3), RGB.

    Raises:
        ValueError: if the motion is unknown.
    """
    if motion not in MOTIONS:
        raise ValueError(f"motion is {motion!r}; accepted: {', '.join(MOTIONS)}")
    glyph = _enlarge(digit / 16.0, _GLYPH_SIDE, _GLYPH_SIDE)
    glyph = np.clip((glyph - 0.2) / 0.4, 0.0, 1.0)  # crisp strokes from the soft enlargement
    height, width, _ = scene.background.shape
    path = _FORWARD_PATHS[_REVERSALS.get(motion, motion)]
    frames = np.empty((scene.num_frames, height, width, 3), dtype=np.uint8)
    for frame, progress in zip(frames, np.linspace(-1.0, 1.0, scene.num_frames), strict=True):
        alpha = _place_glyph(glyph, scene, path, progress)[..., None]  # (H, W, 1)
        frame[:] = np.round(scene.background + alpha * (scene.colour - scene.background))
    return frames[::-1].copy() if motion in _REVERSALS else frames
