#!/usr/bin/env bash
# UniFormerV2-L/14 16x224 on Something-Something V2, from CLIP's weights: train, then test.
# config.yaml says: 64 videos per node and batch, learning rate 2e-5, 22 epochs, 8 GPUs per node, 2 nodes.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
