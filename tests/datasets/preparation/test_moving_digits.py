"""Moving digits: what the classes mean, what the files are, and that equal arguments give equal bytes."""

import csv
import errno
import importlib.util
import json
import multiprocessing
import os
import threading
import time
from collections import Counter
from dataclasses import replace
from multiprocessing import synchronize
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from sklearn.datasets import load_digits

from slowfast.datasets.preparation.digit_scenes import MOTIONS, NUM_FRAMES_RANGE, SIZES_PX, Scene, render_motion
from slowfast.datasets.preparation.moving_digits import (
    CLASSES,
    FPS,
    SPLITS,
    plan_video,
    split_digit_indices,
    write_moving_digits,
)
from slowfast.errors import UserError

COUNTS = {"num_train": 16, "num_val": 8, "num_test": 8}
TINY_COUNTS = {"num_train": 4, "num_val": 1, "num_test": 1}
REVERSALS = [("left", "right"), ("up", "down"), ("clockwise", "counter-clockwise"), ("growing", "shrinking")]
TOOL = Path(__file__).parents[3] / "tools" / "prepare" / "moving_digits.py"


@pytest.fixture(scope="module")
def motion_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_moving_digits(tmp_path_factory.mktemp("digits") / "motion", **COUNTS)


def read_list(root: Path, split: str) -> list[tuple[str, int]]:
    with open(root / f"{split}.csv", newline="") as lines:
        return [(path, int(label)) for path, label in csv.reader(lines)]


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def stencil(scene: Scene) -> Scene:
    """The same scene in black and white, so that a frame shows the digit alone."""
    return replace(scene, background=np.zeros_like(scene.background), colour=np.full(3, 255.0))


def centroids(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (T, H, W, 3) of a stencil -> x and y of the ink, (T,) each, in pixels."""
    ink = frames[..., 0].astype(float)  # (T, H, W)
    total = ink.sum(axis=(1, 2))
    x = (ink.sum(axis=1) * np.arange(ink.shape[2])).sum(axis=1) / total
    y = (ink.sum(axis=2) * np.arange(ink.shape[1])).sum(axis=1) / total
    return x, y


# What the classes mean


def test_motions_are_in_label_order():
    assert MOTIONS == ("left", "right", "up", "down", "clockwise", "counter-clockwise", "growing", "shrinking")


@pytest.mark.parametrize(("motion", "reversal"), REVERSALS)
def test_a_reversal_shows_the_same_frames_backwards(motion: str, reversal: str):
    digit = load_digits().images[3]
    for index in range(4):
        scene = plan_video("motion", "train", index, seed=5).scene
        frames = render_motion(motion, scene, digit)
        assert frames.dtype == np.uint8 and frames.shape == (scene.num_frames, *scene.background.shape)
        assert not np.array_equal(frames, frames[::-1])
        np.testing.assert_array_equal(frames, render_motion(reversal, scene, digit)[::-1])


@pytest.mark.parametrize(
    ("motion", "moving", "sign"), [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)]
)
def test_translations_go_where_their_name_says(motion: str, moving: int, sign: int):
    for index in range(8):
        scene = stencil(plan_video("motion", "test", index, seed=1).scene)
        path = centroids(render_motion(motion, scene, load_digits().images[7]))
        assert np.all(sign * np.diff(path[moving]) > 0)
        assert np.ptp(path[moving]) == pytest.approx(2 * scene.travel_px, abs=1.0)
        assert np.ptp(path[1 - moving]) < 1.0


@pytest.mark.parametrize(("motion", "sign"), [("clockwise", 1), ("counter-clockwise", -1)])
def test_rotations_turn_where_their_name_says(motion: str, sign: int):
    dot = np.zeros((8, 8))
    dot[0:2, 3:5] = 16  # off the centre, so that its position tells the angle
    scene = stencil(plan_video("motion", "test", 2, seed=1).scene)
    x, y = centroids(render_motion(motion, scene, dot))
    height, width, _ = scene.background.shape
    # y points down, so an angle that grows turns clockwise on the screen.
    angle = np.unwrap(np.arctan2(y - (height - 1) / 2 - scene.offset_y_px, x - (width - 1) / 2 - scene.offset_x_px))
    assert np.all(sign * np.diff(angle) > 0)
    assert sign * (angle[-1] - angle[0]) == pytest.approx(scene.arc_rad, abs=0.1)
    assert np.pi <= scene.arc_rad <= 2 * np.pi


@pytest.mark.parametrize(("motion", "sign"), [("growing", 1), ("shrinking", -1)])
def test_sizes_change_as_their_name_says(motion: str, sign: int):
    scene = stencil(plan_video("motion", "test", 3, seed=1).scene)
    area = render_motion(motion, scene, load_digits().images[0])[..., 0].sum(axis=(1, 2), dtype=float)
    assert np.all(sign * np.diff(area) > 0)
    assert np.sqrt(area.max() / area.min()) == pytest.approx(scene.scale_ratio, rel=0.05)
    assert scene.scale_ratio >= 2


def test_the_digit_stands_out_and_stays_inside_the_frame():
    digits = load_digits().images
    for index in range(16):
        plan = plan_video("motion", "train", index, seed=0)
        assert plan.scene.colour.min() - plan.scene.background.max() >= 60
        ink = render_motion(plan.motion, stencil(plan.scene), digits[plan.digit_idx])[..., 0]
        covered = (ink > 127).mean(axis=(1, 2))
        assert covered.min() > 0.005 and covered.max() < 0.4
        whole = render_motion("clockwise", stencil(plan.scene), np.full((8, 8), 16.0))[0, ..., 0]
        short_px = min(whole.shape)
        assert np.sqrt((whole / 255).sum()) == pytest.approx(plan.scene.side_px, rel=0.1)
        assert 0.4 * short_px <= plan.scene.side_px <= 0.5 * short_px


def test_unknown_motion_is_refused():
    scene = plan_video("motion", "train", 0, seed=0).scene
    with pytest.raises(ValueError, match="motion is 'sideways'; accepted: left, right"):
        render_motion("sideways", scene, np.zeros((8, 8)))


# What is drawn


def test_splits_share_no_digit_scans():
    parts = split_digit_indices(seed=0)
    assert tuple(parts) == SPLITS
    joined = np.concatenate(list(parts.values()))
    np.testing.assert_array_equal(np.sort(joined), np.arange(len(load_digits().images)))
    assert not np.array_equal(parts["test"], split_digit_indices(seed=1)["test"])
    for variant in CLASSES:
        for split in SPLITS:
            drawn = {plan_video(variant, split, index, seed=0).digit_idx for index in range(50)}
            assert len(drawn) > 25 and drawn <= set(parts[split].tolist())


def test_sizes_and_lengths_vary_within_the_stated_ranges():
    scenes = [plan_video("motion", "train", index, seed=0).scene for index in range(200)]
    assert {scene.background.shape[:2] for scene in scenes} == set(SIZES_PX)
    assert all(side % 2 == 0 and side >= 64 for size in SIZES_PX for side in size)
    assert all(max(size) / min(size) <= 4 / 3 for size in SIZES_PX)
    num_frames = {scene.num_frames for scene in scenes}
    assert len(num_frames) > 15
    assert min(num_frames) >= NUM_FRAMES_RANGE[0] and max(num_frames) <= NUM_FRAMES_RANGE[1]


def test_scenes_do_not_depend_on_the_class():
    """Neighbours in a list have different motions; over many of them no drawn quantity may differ."""
    scenes = {
        label: [plan_video("motion", "train", 8 * i + label, seed=0).scene for i in range(80)] for label in (0, 1)
    }
    for name in ("num_frames", "side_px", "offset_y_px", "travel_px", "tilt_rad", "arc_rad", "scale_ratio"):
        left, right = (np.array([getattr(scene, name) for scene in scenes[label]]) for label in (0, 1))
        error = np.sqrt(left.var() / left.size + right.var() / right.size)
        assert abs(left.mean() - right.mean()) < 4 * error, name


def test_static_labels_are_the_digits():
    targets = load_digits().target
    plans = [plan_video("static", "val", index, seed=0) for index in range(80)]
    assert all(targets[plan.digit_idx] == plan.label for plan in plans)
    assert {plan.motion for plan in plans} == set(MOTIONS)
    assert all(abs(plan.scene.tilt_rad) < np.deg2rad(16) for plan in plans)  # a six must not pass for a nine


# What is written


@pytest.mark.parametrize("split", SPLITS)
def test_lists_name_the_videos_with_balanced_labels(motion_root: Path, split: str):
    rows = read_list(motion_root, split)
    assert len(rows) == COUNTS[f"num_{split}"]
    assert set(Counter(label for _, label in rows).values()) == {len(rows) // len(MOTIONS)}
    for path, label in rows:
        assert (motion_root / path).is_file()
        assert path.startswith(f"videos/{split}/") and path.endswith(f"_{MOTIONS[label]}.mp4")
    assert (motion_root / "classes.txt").read_text().split() == list(MOTIONS)


@pytest.mark.slow
def test_files_are_h264_with_b_frames_and_several_groups_of_pictures(motion_root: Path):
    digits = load_digits().images
    for index, (path, _) in enumerate(read_list(motion_root, "val")):
        with av.open(str(motion_root / path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
            assert stream.average_rate == FPS
            frames = list(container.decode(video=0))
        plan = plan_video("motion", "val", index, seed=0)
        expected = render_motion(plan.motion, plan.scene, digits[plan.digit_idx])
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in frames])
        assert decoded.shape == expected.shape
        assert np.abs(decoded.astype(int) - expected).mean() < 6  # what lossy coding and half-size chroma cost
        kinds = Counter(PictureType(frame.pict_type).name for frame in frames)
        assert kinds["B"] > len(frames) / 3
        key_frames = [i for i, frame in enumerate(frames) if frame.key_frame]
        assert len(key_frames) >= 2 and np.diff(key_frames).min() > 8


@pytest.mark.slow
def test_equal_arguments_give_equal_bytes_for_any_number_of_workers(motion_root: Path, tmp_path: Path):
    again = write_moving_digits(tmp_path / "again", **COUNTS, num_workers=2)
    assert contents(again) == contents(motion_root)


@pytest.mark.slow
def test_a_killed_process_is_told_in_one_line_and_the_set_counts_as_unfinished(tmp_path: Path):
    def kill_one() -> None:
        while not (children := multiprocessing.active_children()):
            time.sleep(0.01)
        children[0].kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(UserError, match=r"a process that writes its videos was killed.*--workers than 2"):
        write_moving_digits(tmp_path, **COUNTS, num_workers=2)
    killer.join()
    assert not (tmp_path / "dataset.json").exists()


def test_shared_memory_without_room_for_a_lock_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(synchronize.SemLock, "__init__", refuse)
    with pytest.raises(UserError, match=r"No space left on device .*/dev/shm.*, or take --workers 1"):
        write_moving_digits(tmp_path, **COUNTS, num_workers=2)


def test_seeds_change_every_video(motion_root: Path, tmp_path: Path):
    other = contents(write_moving_digits(tmp_path / "other", **TINY_COUNTS, seed=1))
    first = contents(motion_root)
    assert all(content != first[path] for path, content in other.items() if path.endswith(".mp4"))


def test_static_variant_writes_ten_classes(tmp_path: Path):
    root = write_moving_digits(tmp_path, variant="static", num_train=10, num_val=1, num_test=1)
    assert read_list(root, "train")[3] == ("videos/train/00003_3.mp4", 3)
    assert sorted(label for _, label in read_list(root, "train")) == list(range(10))
    assert (root / "classes.txt").read_text().split() == list("0123456789")


# Writing where something is already


def test_a_finished_set_is_left_alone_and_an_unfinished_one_completed(tmp_path: Path):
    root = write_moving_digits(tmp_path, **TINY_COUNTS)
    finished = contents(root)
    video = root / read_list(root, "train")[0][0]
    written_ns = video.stat().st_mtime_ns
    write_moving_digits(root, **TINY_COUNTS)
    assert video.stat().st_mtime_ns == written_ns

    video.unlink()
    write_moving_digits(root, **TINY_COUNTS)
    assert contents(root) == finished

    (root / "dataset.json").unlink()
    video.write_bytes(b"half a video")
    write_moving_digits(root, **TINY_COUNTS)
    assert contents(root) == finished


def test_a_different_set_is_refused_unless_overwritten(tmp_path: Path):
    root = write_moving_digits(tmp_path, **TINY_COUNTS)
    before = contents(root)
    with pytest.raises(UserError, match=r"different set.*num_train is 4, not 2; choose another folder.*--overwrite"):
        write_moving_digits(root, **{**TINY_COUNTS, "num_train": 2})
    with pytest.raises(UserError, match="seed is 0, not 3"):
        write_moving_digits(root, **TINY_COUNTS, seed=3)
    assert contents(root) == before

    write_moving_digits(root, **{**TINY_COUNTS, "num_train": 2}, overwrite=True)
    assert len(list((root / "videos" / "train").iterdir())) == 2
    assert json.loads((root / "dataset.json").read_text())["num_train"] == 2


def test_other_peoples_lists_and_manifests_are_refused(tmp_path: Path):
    (tmp_path / "train.csv").write_text("somebody_elses.mp4,0\n")
    with pytest.raises(UserError, match=r"no dataset.json, but files of another data set: train.csv; choose another"):
        write_moving_digits(tmp_path, **TINY_COUNTS)
    (tmp_path / "dataset.json").write_text("not JSON")
    with pytest.raises(UserError, match=r"dataset.json is not a manifest of moving digits"):
        write_moving_digits(tmp_path, **TINY_COUNTS)
    assert (tmp_path / "train.csv").read_text() == "somebody_elses.mp4,0\n"

    video = tmp_path / "videos" / "train" / "00099_left.mp4"
    video.parent.mkdir(parents=True)
    video.write_bytes(b"somebody else's")
    write_moving_digits(tmp_path, **TINY_COUNTS, overwrite=True)
    assert video.exists()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"variant": "moving"}, "variant is 'moving'; accepted: motion, static"),
        ({"num_train": 0}, "num_train is 0; accepted: 1 or more"),
        ({"num_test": -1}, "num_test is -1; accepted: 1 or more"),
        ({"seed": -1}, "seed is -1; accepted: 0 or more"),
        ({"num_workers": 0}, "num_workers is 0; accepted: 1 or more"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, argument: dict, message: str):
    with pytest.raises(UserError, match=message):
        write_moving_digits(tmp_path / "root", **argument)
    assert not (tmp_path / "root").exists()


def test_the_tool_writes_and_reports_and_exits_cleanly(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    spec = importlib.util.spec_from_file_location("prepare_moving_digits", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    counts = ["--num-train", "2", "--num-val", "1", "--num-test", "1"]
    tool.main([str(tmp_path), *counts])
    assert "2 train, 1 val and 1 test videos of 8 classes (motion)" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        tool.main([str(tmp_path), *counts, "--seed", "1"])
    assert stop.value.code == 2
    assert "seed is 0, not 1" in capsys.readouterr().err
    tool.main([str(tmp_path), *counts, "--seed", "1", "--overwrite"])
