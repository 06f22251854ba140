"""The job of ``tools/run_net.py``: train, then test."""

import torch
from fvcore.common.config import CfgNode

from slowfast.datasets import build_dataset
from slowfast.engine.test import test
from slowfast.engine.train import train


def run(cfg: CfgNode, device: torch.device) -> None:
    """Train if ``TRAIN.ENABLE``, test if ``TEST.ENABLE``.

    The test list is read before training, so that a slip in it does not show after days.
    """
    test_records = build_dataset(cfg, "test").records if cfg.TEST.ENABLE else None
    if cfg.TRAIN.ENABLE:
        train(cfg, device, test_records)
    if cfg.TEST.ENABLE:
        test(cfg, device)
