#!/usr/bin/env bash
# UniFormerV2-L/14 8x336 with a frozen ViT on Kinetics-710, from CLIP's weights: train, then test.
# config.yaml says: 128 videos per node and batch, learning rate 8e-4, 50 epochs, 8 GPUs per node, 4 nodes.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
