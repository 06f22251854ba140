"""What the moving digits are for: motion cannot be told without the order of the frames, and can be with it.

Three trainings side by side, each a process of its own with one computing thread: about five minutes on two cores.
``pytest -m experiment tests/engine/test_order_blind.py -s`` repeats the experiment and prints its figures.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from slowfast.datasets.preparation.moving_digits import write_moving_digits

ROOT = Path(__file__).parents[2]


def start_training(config: str, data_dir: Path, output_dir: Path, **keys: int | list[float]) -> subprocess.Popen:
    overrides = {
        "OUTPUT_DIR": output_dir,
        "DATA.PATH_TO_DATA_DIR": data_dir,
        "DATA.PATH_PREFIX": data_dir,
        "DATA.CLASS_NAMES_FILE": data_dir / "classes.txt",
        "DATA_LOADER.NUM_WORKERS": 1,
        "NUM_GPUS": 0,
        "TRAIN.BATCH_SIZE": 16,
        "TRAIN.EVAL_PERIOD": 1000,
        "SOLVER.BASE_LR": 1e-3,
        "LOG_PERIOD": 1000,
    } | {name.replace("__", "."): value for name, value in keys.items()}
    words = [str(word) for pair in overrides.items() for word in pair]
    command = [sys.executable, "tools/run_net.py", "--cfg", f"exp/quickstart/{config}.yaml", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def accuracies(output_dir: Path) -> tuple[float, float]:
    """Top-1 in percent on the training clips of the last epoch, and on the test videos."""
    lines = [json.loads(line) for line in (output_dir / "metrics.jsonl").read_text().splitlines()]
    last_training = [line["top1"] for line in lines if line["kind"] == "train"][-1]
    return last_training, json.loads((output_dir / "test" / "report.json").read_text())["top1"]


@pytest.mark.experiment
def test_order_blind_model_reads_digits_but_not_motions(tmp_path):
    motion = write_moving_digits(tmp_path / "motion", num_workers=2)
    static = write_moving_digits(tmp_path / "static", variant="static", num_train=1600, num_workers=2)
    runs = {
        # Crops that hardly jitter let it see where the digit is, so that it learns all that there is to learn.
        "order-blind on motions": start_training(
            "order_blind",
            motion,
            tmp_path / "blind",
            SOLVER__MAX_EPOCH=30,
            DATA__TRAIN_JITTER_SCALES_RELATIVE=[0.9, 1.0],
            DATA__TRAIN_JITTER_ASPECT_RELATIVE=[0.95, 1.05],
        ),
        "order-blind on digits": start_training(
            "order_blind",
            static,
            tmp_path / "digits",
            SOLVER__MAX_EPOCH=18,
            MODEL__NUM_CLASSES=10,
            DATA__NUM_FRAMES=4,
            TEST__NUM_SPATIAL_CROPS=1,
        ),
        "UniFormerV2 on motions": start_training("config", motion, tmp_path / "real", SOLVER__MAX_EPOCH=8),
    }
    assert [run.wait() for run in runs.values()] == [0, 0, 0]
    figures = {
        name: accuracies(tmp_path / folder) for name, folder in zip(runs, ("blind", "digits", "real"), strict=True)
    }
    for name, (training, test) in figures.items():
        print(f"{name}: top-1 {training:.1f} % on training clips, {test:.1f} % on test videos")
    blind_training, blind_test = figures["order-blind on motions"]
    assert blind_training > 60  # it has learnt the training videos by heart, and still
    assert blind_test <= 60
    assert figures["order-blind on digits"][1] >= 90
    assert figures["UniFormerV2 on motions"][1] >= 95
