#!/usr/bin/env bash
# UniFormerV2-L/14 8x224 on Kinetics-710, from CLIP's weights: train, then test.
# config.yaml says: 128 videos per node and batch, learning rate 1e-5, 40 epochs, 8 GPUs per node, 4 nodes.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
