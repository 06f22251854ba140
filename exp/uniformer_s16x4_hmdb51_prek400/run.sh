#!/usr/bin/env bash
# UniFormer-S 16x224 (every 4th frame) on HMDB51, from Kinetics-400 weights: train, then test.
# config.yaml says: 128 videos per node and batch, learning rate 5e-5, 25 epochs, 8 GPUs per node, 1 node.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
