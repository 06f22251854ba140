"""Moving digits: a small data set of real H.264 files, made on the spot and without a download.

A handwritten digit (scikit-learn's bundled 8x8 scans) moves over a still, textured background
(``slowfast.datasets.preparation.digit_scenes``). The class is the motion, which no single frame shows. In the
``static`` variant the class is the digit: it is large and nearly upright, and its motion is small and drawn at random.

Horizontal flips turn ``left`` into ``right`` and ``clockwise`` into ``counter-clockwise``: train on the
``motion`` variant without them.
"""

import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
from sklearn.datasets import load_digits

from slowfast.datasets.preparation.digit_scenes import (
    DIGIT_RANGES,
    MOTION_RANGES,
    MOTIONS,
    Scene,
    draw_scene,
    render_motion,
)
from slowfast.datasets.preparation.encoding import encode_h264
from slowfast.errors import UserError
from slowfast.runtime.files import make_folder, write_text, writing
from slowfast.runtime.processes import check_locks

CLASSES: dict[str, tuple[str, ...]] = {"motion": MOTIONS, "static": tuple("0123456789")}
SPLITS: tuple[str, ...] = ("train", "val", "test")
DEFAULT_NUM_VIDEOS: dict[str, int] = {"train": 640, "val": 80, "test": 160}

FPS = 25
KEY_FRAME_INTERVAL = 30  # frames; every video has a key frame to seek to besides its first

# Part of every manifest. Raise it with any change that alters the written bytes for the same arguments.
GENERATOR_VERSION = 1

MANIFEST_NAME = "dataset.json"
_LOCKS_OF_POOL = 16  # about as many as Python's pool of processes shares
_DIGIT_SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}  # of the 1,797 scans


@dataclass(frozen=True)
class VideoPlan:
    """One video to be written: its list line and the choices that lead to its pixels."""

    path: str  # relative to the root of the data set
    label: int
    motion: str
    digit_idx: int  # into scikit-learn's 1,797 scans
    scene: Scene


def split_digit_indices(seed: int) -> dict[str, np.ndarray]:
    """Divide scikit-learn's digit scans among the splits, so that no scan occurs in two of them.

    Args:
        seed: of the data set, at least 0.

    Returns:
        split name -> sorted int64 indices into ``load_digits().images``; together a partition.
    """
    num_digits = len(_load_digit_scans()[0])
    # The videos' generators are keyed (seed, split, index); this key lies beyond the last split.
    order = np.random.default_rng((seed, len(SPLITS))).permutation(num_digits)
    ends = np.round(np.cumsum([_DIGIT_SHARES[split] for split in SPLITS]) * num_digits).astype(int)
    parts = np.split(order, ends[:-1])
    return {split: np.sort(part) for split, part in zip(SPLITS, parts, strict=True)}


def plan_video(variant: Literal["motion", "static"], split: str, index: int, seed: int) -> VideoPlan:
    """Draw one video of a data set; the result depends on the arguments alone.

    Args:
        variant: ``motion`` or ``static``.
        split: ``train``, ``val`` or ``test``.
        index: 0-based place in the split's list; labels go round, ``index % num_classes``.
        seed: of the data set, at least 0.

    Returns:
        The plan, with a scene drawn before and independently of the motion.
    """
    rng = np.random.default_rng((seed, SPLITS.index(split), index))
    classes = CLASSES[variant]
    label = index % len(classes)
    candidates = split_digit_indices(seed)[split]
    if variant == "motion":
        scene = draw_scene(rng, MOTION_RANGES)
        motion = classes[label]
    else:
        scene = draw_scene(rng, DIGIT_RANGES)
        motion = MOTIONS[rng.integers(len(MOTIONS))]
        candidates = candidates[_load_digit_scans()[1][candidates] == label]
    digit_idx = int(rng.choice(candidates))
    return VideoPlan(_video_path(variant, split, index), label, motion, digit_idx, scene)


def write_moving_digits(
    root: str | Path,
    *,
    variant: Literal["motion", "static"] = "motion",
    num_train: int = DEFAULT_NUM_VIDEOS["train"],
    num_val: int = DEFAULT_NUM_VIDEOS["val"],
    num_test: int = DEFAULT_NUM_VIDEOS["test"],
    seed: int = 0,
    num_workers: int = 1,
    overwrite: bool = False,
) -> Path:
    """Write the data set: videos, ``train.csv``, ``val.csv``, ``test.csv``, ``classes.txt``, ``dataset.json``.

    A list line is ``path,label`` with the path relative to ``root``. Videos are MP4 (H.264, yuv420p,
    B-frames) at 25 frames per second. Equal arguments and library versions give equal bytes, whatever the
    number of workers. The manifest ``dataset.json`` is written last; a folder whose manifest matches and
    whose files exist is left as it is, one that an interrupted run left without a manifest is written anew.

    Args:
        root: folder to write to; created if it does not exist.
        variant: ``motion`` (8 classes, ``MOTIONS``) or ``static`` (10 classes, the digits).
        num_train: videos of the training split, at least 1; classes differ by at most one video.
        num_val: the same for the validation split.
        num_test: the same for the test split.
        seed: at least 0.
        num_workers: processes that render and encode, at least 1; more than one need the usual
            ``if __name__ == "__main__"`` guard in the calling script.
        overwrite: write even where ``root`` holds a different set, or this one.

    Returns:
        ``root``.

    Raises:
        UserError: if an argument is out of range, ``root`` holds other data and ``overwrite`` is off, or it cannot be
            written to.
    """
    root = Path(root)
    num_videos = {"train": num_train, "val": num_val, "test": num_test}
    _check_arguments(variant=variant, num_videos=num_videos, seed=seed, num_workers=num_workers)
    counts = {f"num_{split}": num for split, num in num_videos.items()}
    manifest = {"generator_version": GENERATOR_VERSION, "variant": variant, "seed": seed, **counts}
    keys = [(variant, split, index, seed) for split, num in num_videos.items() for index in range(num)]
    texts = _text_files(variant, num_videos)
    paths = [*texts, *(_video_path(*key[:3]) for key in keys)]

    if overwrite:
        with writing(root):
            _remove_old_set(root, texts)
    elif _holds_manifest(root, manifest, texts) and all(os.path.isfile(root / path) for path in paths):
        return root
    # Without its manifest the folder counts as unfinished, which it is from here until the last line.
    with writing(root):
        (root / MANIFEST_NAME).unlink(missing_ok=True)
    for split in SPLITS:
        make_folder(root / "videos" / split)
    if num_workers == 1:
        for key in keys:
            _write_planned_video(root, key)
    else:
        # Not forked from here: the caller may hold threads (PyTorch, PyAV), which do not survive a fork. A clean
        # server imports this module once and forks the workers.
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__])
        check_locks(_LOCKS_OF_POOL, "take --workers 1")
        try:
            with ProcessPoolExecutor(num_workers, mp_context=context) as pool:
                for _ in pool.map(_write_planned_video, repeat(root), keys, chunksize=8):
                    pass
        except BrokenProcessPool:
            raise UserError(
                f"{root}: a process that writes its videos was killed (out of memory?); start the same command again, "
                f"with fewer --workers than {num_workers} if memory is short"
            ) from None
    for name, text in texts.items():
        write_text(root / name, text)
    write_text(root / MANIFEST_NAME, json.dumps(manifest, indent=2) + "\n")
    return root


@cache
def _load_digit_scans() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's scans, float64 (1797, 8, 8) in [0, 16], and the digits that they show, int64 (1797,)."""
    digits = load_digits()
    return digits.images, digits.target


def _write_planned_video(root: Path, key: tuple[str, str, int, int]) -> None:
    """Plan, render and encode the video of one (variant, split, index, seed)."""
    plan = plan_video(*key)
    frames = render_motion(plan.motion, plan.scene, _load_digit_scans()[0][plan.digit_idx])
    encode_h264(root / plan.path, frames, fps=FPS, key_frame_interval=KEY_FRAME_INTERVAL)


def _video_path(variant: str, split: str, index: int) -> str:
    classes = CLASSES[variant]
    return f"videos/{split}/{index:05d}_{classes[index % len(classes)]}.mp4"


def _text_files(variant: str, num_videos: Mapping[str, int]) -> dict[str, str]:
    """Return the contents of the three lists and of the class names, by file name."""
    classes = CLASSES[variant]
    texts = {"classes.txt": "".join(f"{name}\n" for name in classes)}
    for split, num in num_videos.items():
        lines = (f"{_video_path(variant, split, index)},{index % len(classes)}\n" for index in range(num))
        texts[f"{split}.csv"] = "".join(lines)
    return texts


def _check_arguments(*, variant: str, num_videos: Mapping[str, int], seed: int, num_workers: int) -> None:
    if variant not in CLASSES:
        raise UserError(f"variant is {variant!r}; accepted: {', '.join(CLASSES)}")
    for split, num in num_videos.items():
        if num < 1:
            raise UserError(f"num_{split} is {num}; accepted: 1 or more videos")
    if seed < 0:
        raise UserError(f"seed is {seed}; accepted: 0 or more")
    if num_workers < 1:
        raise UserError(f"num_workers is {num_workers}; accepted: 1 or more processes")


def _holds_manifest(root: Path, manifest: Mapping[str, object], texts: Mapping[str, str]) -> bool:
    """Tell whether ``root`` holds this manifest (True) or none (False); refuse any other set of files."""
    remedy = "choose another folder, or replace what is there with overwrite=True (--overwrite of the tool)"
    path = root / MANIFEST_NAME
    if not os.path.exists(path):
        # An interrupted run leaves no lists but our own; other ones belong to somebody else's data.
        lists = {root / name: text.encode() for name, text in texts.items()}
        foreign = [path.name for path, content in lists.items() if path.exists() and path.read_bytes() != content]
        if foreign:
            raise UserError(
                f"{root} has no {MANIFEST_NAME}, but files of another data set: {', '.join(foreign)}; {remedy}"
            )
        return False
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is not a manifest of moving digits ({error}); {remedy}") from error
    names = [name for name in {**manifest, **found} if manifest.get(name) != found.get(name)]
    if names:
        differences = ", ".join(f"{name} is {found.get(name)!r}, not {manifest.get(name)!r}" for name in names)
        raise UserError(f"{root} holds a different set of moving digits: {differences}; {remedy}")
    return True


def _remove_old_set(root: Path, text_names: Iterable[str]) -> None:
    """Delete the lists and videos of an older set of moving digits; anybody else's files stay."""
    manifest = root / MANIFEST_NAME
    if not manifest.is_file() or b'"generator_version"' not in manifest.read_bytes():
        return
    for name in text_names:
        (root / name).unlink(missing_ok=True)
    for split in SPLITS:
        for video in (root / "videos" / split).glob("[0-9]*_*.mp4"):
            video.unlink()
