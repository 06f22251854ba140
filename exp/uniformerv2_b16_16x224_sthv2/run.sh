#!/usr/bin/env bash
# UniFormerV2-B/16 16x224 on Something-Something V2, from CLIP's weights: train, then test.
# config.yaml says: 128 videos per node and batch, learning rate 4e-5, 22 epochs, 8 GPUs per node, 1 node.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
