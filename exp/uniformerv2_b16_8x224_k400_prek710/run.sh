#!/usr/bin/env bash
# UniFormerV2-B/16 8x224 on Kinetics-400, from Kinetics-710 weights: train, then test.
# config.yaml says: 256 videos per node and batch, learning rate 2e-6, 5 epochs, 8 GPUs per node, 1 node.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
