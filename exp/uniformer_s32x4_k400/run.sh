#!/usr/bin/env bash
# UniFormer-S 32x224 (every 4th frame) on Kinetics-400, from ImageNet weights: train, then test.
# config.yaml says: 32 videos per node and batch, learning rate 1e-4, 110 epochs, 8 GPUs per node, 1 node.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
