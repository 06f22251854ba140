"""tools/run_net.py, one of whose processes dies by a signal once it has scored some batches.

python -m tests.engine.killed_test_program SIGNAL RANK NUM_BATCHES --cfg FILE [KEY VALUE ...]
"""

import os
import signal
import sys
from functools import partial

import torch
from fvcore.common.config import CfgNode

from slowfast.config import load_config
from slowfast.engine.kept_scores import KeptScores
from slowfast.engine.test import test
from slowfast.engine.video_scores import VideoScores
from slowfast.launch.launch import launch
from slowfast.runtime import distributed


def test_and_die(number: str, rank: str, num_batches: str, cfg: CfgNode, device: torch.device) -> None:
    """Test, but send this process a signal after so many batches of a rank."""
    append, left = KeptScores.append, int(num_batches)

    def append_and_die(self: KeptScores, part: VideoScores) -> None:
        nonlocal left
        append(self, part)
        left -= 1
        if left == 0 and distributed.rank() == int(rank):
            os.kill(os.getpid(), signal.Signals[number])

    KeptScores.append = append_and_die
    torch.set_num_threads(1)
    test(cfg, device)


if __name__ == "__main__":
    assert sys.argv[4] == "--cfg"
    launch(load_config(sys.argv[5], sys.argv[6:]), partial(test_and_die, *sys.argv[1:4]))
