#!/usr/bin/env bash
# UniFormerV2-L/14 32x224 on HACS, from Kinetics-710 and Kinetics-400 weights: train, then test.
# config.yaml says: 16 videos per node and batch, learning rate 5e-6, 20 epochs, 8 GPUs per node, 4 nodes.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
