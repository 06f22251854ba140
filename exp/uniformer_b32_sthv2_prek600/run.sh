#!/usr/bin/env bash
# UniFormer-B 32x224 on Something-Something V2, from Kinetics-600 weights: train, then test.
# config.yaml says: 32 videos per node and batch, learning rate 2e-4, 50 epochs, 8 GPUs per node, 1 node.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
