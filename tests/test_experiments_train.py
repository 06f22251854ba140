"""Experiments with configs/debug.yaml laid over them: two steps of training, validation and test on a few tiny videos.

Crops are small, for speed; all else is the experiment's own: model, frames, augmentation, loss, optimizer, data set.
"""

import json
import math
import shutil
from pathlib import Path

import pytest
from PIL import Image

from slowfast.config import load_config
from tests.command_line import run_net
from tests.videos import numbered_frame, write_video

ROOT = Path(__file__).parents[1]
EXP = ROOT / "exp"
NUM_FRAMES = 10  # of a video
FRAME_FOLDERS = ("sth", "ucf101", "hmdb")
TIME_SPANS = ("anet", "hacs")


def write_data(root: Path, experiment: str) -> Path:
    """Four videos to train on, one to validate and one to test, in the form that an experiment reads.

    Returns:
        The folder of the lists and of the videos.
    """
    cfg = load_config(EXP / experiment / "config.yaml")
    has_folders = cfg.TRAIN.DATASET in FRAME_FOLDERS
    template = cfg.DATA.LABEL_PATH_TEMPLATE if has_folders else "{}.csv"
    root.mkdir(parents=True)
    for split, num_videos in {"train": 4, "val": 1, "test": 1}.items():
        lines = []
        for i in range(num_videos):
            name, label = f"{split}_{i}", str(i)
            if has_folders:
                (root / name).mkdir()
                for k in range(NUM_FRAMES):
                    Image.fromarray(numbered_frame(k)).save(root / name / cfg.DATA.IMAGE_TEMPLATE.format(k + 1))
                lines.append([name, str(NUM_FRAMES), label])
            else:
                write_video(root / f"{name}.mp4", NUM_FRAMES)  # of 0.4 s
                span = ["0.4", "0.1", "0.3"] if cfg.TRAIN.DATASET in TIME_SPANS else []
                lines.append([f"{name}.mp4", *span, label])
        text = "".join(cfg.DATA.PATH_LABEL_SEPARATOR.join(fields) + "\n" for fields in lines)
        (root / template.format(split)).write_text(text)
    return root


def train_two_steps(folder: Path, experiment: str, *overrides: object) -> None:
    """Train and test an experiment with configs/debug.yaml over it; checks that it did both."""
    data, run = write_data(folder / "data", experiment), folder / "run"
    config = folder / "config.yaml"
    config.write_text(f"_BASE_: [{EXP / experiment / 'config.yaml'}, {ROOT / 'configs' / 'debug.yaml'}]\n")
    size_px = 112 if "l14" in experiment else 32  # of both kinds of patch, where B/16 may stand for L/14
    crop = ["DATA.TRAIN_CROP_SIZE", size_px, "DATA.TEST_CROP_SIZE", size_px]
    places = ["DATA.PATH_TO_DATA_DIR", data, "DATA.PATH_PREFIX", data, "OUTPUT_DIR", run]
    outcome = run_net("--cfg", config, *crop, *places, *overrides)

    assert outcome.code == 0, outcome.err
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "train"]
    assert len(steps) == 2 and all(math.isfinite(line["loss"]) and line["lr"] > 0 for line in steps)
    report = json.loads((run / "test" / "report.json").read_text())
    assert (report["expected"], report["scored"]) == (1, 1)
    shutil.rmtree(run / "checkpoints")  # gigabytes


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["uniformer_s8x8_k400", "uniformer_xxs4_128_k400"])
def test_a_small_one(tmp_path, experiment):
    train_two_steps(tmp_path, experiment)


# In place of L/14, whose checkpoints of several gigabytes take most of the time.
B16 = ["UNIFORMERV2.BACKBONE", "uniformerv2_b16", "UNIFORMERV2.N_DIM", 768, "UNIFORMERV2.N_HEAD", 12]
B16 += ["UNIFORMERV2.RETURN_LIST", [8, 9, 10, 11]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "overrides"),
    [
        ("uniformer_b16_sthv2_prek600", []),
        ("uniformer_s16x4_ucf101_prek400", []),
        ("uniformer_s16x4_hmdb51_prek400", []),
        ("uniformerv2_b16_16x224_sthv1", []),
        ("uniformerv2_l14_16x224_hacs", B16),
        ("uniformerv2_l14_8x336_frozen_k710", []),
    ],
)
def test_one_of_each_kind(tmp_path, experiment, overrides):
    train_two_steps(tmp_path, experiment, *overrides)
