#!/usr/bin/env bash
# UniFormer-S 8x224 (every 8th frame) on Kinetics-400, from ImageNet weights: train, then test.
# config.yaml says: 128 videos per node and batch, learning rate 4e-4, 100 epochs, 8 GPUs per node, 1 node.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
