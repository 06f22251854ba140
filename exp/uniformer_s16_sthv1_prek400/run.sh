#!/usr/bin/env bash
# UniFormer-S 16x224 on Something-Something V1, from Kinetics-400 weights: train, then test.
# config.yaml says: 32 videos per node and batch, learning rate 2e-4, 60 epochs, 8 GPUs per node, 1 node.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
