"""A loss and a transform that fail as the environment variable FAULT says, once training is under way.

They are a plug-in of the runs in test_exits.py; the transform fails in a process that loads.
"""

import os
import signal
import time
from itertools import count
from pathlib import Path

import torch.nn.functional as F
from torch.utils.data import get_worker_info

from slowfast.datasets.transforms.registry import TRANSFORM_REGISTRY
from slowfast.solver.loss import LOSS_REGISTRY

FAULT, MARK = os.environ.get("FAULT", ""), os.environ.get("FAULT_MARK", "")
# Of a loading process, and of one that trains.
FIRST_BAD_CLIP, FIRST_BAD_STEP = 4, 2
_clips, _steps = count(), count()


@TRANSFORM_REGISTRY.register(name="faulty")
def faulty_transform(frames, rng):
    """The frames as they are, or a fault."""
    if get_worker_info() is not None and next(_clips) >= FIRST_BAD_CLIP:
        if FAULT == "worker killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if FAULT == "worker defect":
            raise ZeroDivisionError("a defect of a transform")
        if FAULT == "worker hangs":
            Path(MARK).touch()
            time.sleep(600)
    return frames


@LOSS_REGISTRY.register(name="faulty", targets=("class",))
def faulty_loss(logits, targets):
    """Cross entropy, or a fault."""
    if FAULT == "model defect" and next(_steps) >= FIRST_BAD_STEP:
        raise ZeroDivisionError("a defect of a model")
    return F.cross_entropy(logits.float(), targets)
