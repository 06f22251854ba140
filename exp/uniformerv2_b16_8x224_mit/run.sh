#!/usr/bin/env bash
# UniFormerV2-B/16 8x224 on Moments in Time, from Kinetics-710 and Kinetics-400 weights: train, then test.
# config.yaml says: 256 videos per node and batch, learning rate 2e-5, 24 epochs, 8 GPUs per node, 2 nodes.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
