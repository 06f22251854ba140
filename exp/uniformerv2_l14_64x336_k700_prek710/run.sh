#!/usr/bin/env bash
# UniFormerV2-L/14 64x336 on Kinetics-700, from Kinetics-710 weights: train, then test.
# config.yaml says: 16 videos per node and batch, learning rate 1.5e-6, 5 epochs, 8 GPUs per node, 8 nodes.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
