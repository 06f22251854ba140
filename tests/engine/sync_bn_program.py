"""A program that trains a model with BatchNorm for ten steps, on its share of a fixed batch, and saves what came of it.

python -m tests.engine.sync_bn_program FOLDER DEVICE; both of two processes may compute on one GPU, over gloo.
"""

import sys
from pathlib import Path

import torch
from fvcore.common.config import CfgNode
from torch import nn

from slowfast.config import load_config
from slowfast.launch.launch import launch
from slowfast.models import build_model
from slowfast.runtime import distributed
from tests.command_line import CONFIG
from tests.golden_rule import golden_input, golden_state_dict

NUM_CLIPS = 4
MODEL = [
    *("MODEL.MODEL_NAME", "Uniformer", "UNIFORMER.DEPTH", "[1, 1, 1, 1]", "UNIFORMER.EMBED_DIM", "[8, 8, 16, 16]"),
    *("UNIFORMER.HEAD_DIM", "8", "UNIFORMER.DROP_DEPTH_RATE", "0.0", "DATA.NUM_FRAMES", "4"),
    *("DATA.TRAIN_CROP_SIZE", "32", "DATA.TEST_CROP_SIZE", "32", "DATA.TRAIN_JITTER_SCALES", "[32, 36]"),
]


def train_on_share(cfg: CfgNode, device: torch.device) -> None:
    """Ten steps of SGD; rank 0 saves the losses over all clips and the weights."""
    torch.backends.cudnn.allow_tf32 = False
    device = torch.device(sys.argv[2] if len(sys.argv) > 2 else "cuda:0")
    model = build_model(cfg)
    model.load_state_dict(golden_state_dict((name, value.shape) for name, value in model.state_dict().items()))
    if distributed.is_distributed() and device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    wrapped = distributed.wrap_model(model.to(device), device)
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.01)
    share = slice(distributed.rank(), None, distributed.world_size())
    clips = golden_input((NUM_CLIPS, 3, 4, 32, 32))[share].to(device)
    labels = (torch.arange(NUM_CLIPS) % 2)[share].to(device)
    losses = []
    for _ in range(10):
        loss = nn.functional.cross_entropy(wrapped(clips), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean = distributed.sum_over_processes(loss.detach().clone()) / distributed.world_size()
        losses.append(mean.item())
    if distributed.is_main():
        state = {name: value.cpu() for name, value in model.state_dict().items()}
        torch.save({"losses": losses, "weights": state}, Path(cfg.OUTPUT_DIR, "result.pth"))


if __name__ == "__main__":
    launch(load_config(CONFIG, [*MODEL, "OUTPUT_DIR", sys.argv[1]]), train_on_share)
