#!/usr/bin/env bash
# UniFormerV2-L/14 8x224 on Moments in Time, from Kinetics-710 and Kinetics-400 weights: train, then test.
# config.yaml says: 128 videos per node and batch, learning rate 1e-5, 18 epochs, 8 GPUs per node, 4 nodes.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
