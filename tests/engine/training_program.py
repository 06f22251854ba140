"""A program that runs several trainings and tests in one group of processes, which starts only once.

python -m tests.engine.training_program FOLDER, with FOLDER/tasks.json: {name: [part, overrides]}
"""

import json
import sys
from pathlib import Path

import torch
from fvcore.common.config import CfgNode
from torch.nn.modules.batchnorm import _BatchNorm

from slowfast.config import load_config
from slowfast.engine.test import test
from slowfast.engine.train import train
from slowfast.launch.launch import launch
from tests.command_line import CONFIG

PARTS = {"train": train, "test": test}


def do_tasks(cfg: CfgNode, device: torch.device) -> None:
    """Do all tasks that OUTPUT_DIR lists, one after the other, each in its own folder of that name."""
    torch.set_num_threads(1)
    # Batch statistics are those of a process's share, so that they depend on how many share a batch.
    _BatchNorm.training = property(lambda norm: False, lambda norm, value: None)
    tasks = json.loads(Path(cfg.OUTPUT_DIR, "tasks.json").read_text())
    for name, (part, overrides) in tasks.items():
        words = [*overrides, "OUTPUT_DIR", str(Path(cfg.OUTPUT_DIR, name))]
        PARTS[part](load_config(CONFIG, words), device)


if __name__ == "__main__":
    launch(load_config(None, ["NUM_GPUS", "0", "OUTPUT_DIR", sys.argv[1]]), do_tasks)
