#!/usr/bin/env bash
# UniFormer-XXS 4x128 on Kinetics-400, from ImageNet weights: train, then test.
# config.yaml says: 256 videos per node and batch, learning rate 4e-4, 110 epochs, 8 GPUs per node, 1 node.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
