#!/usr/bin/env bash
# UniFormerV2-B/16 8x224 on Kinetics-700, from CLIP's weights: train, then test.
# config.yaml says: 256 videos per node and batch, learning rate 1e-5, 55 epochs, 8 GPUs per node, 1 node.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
