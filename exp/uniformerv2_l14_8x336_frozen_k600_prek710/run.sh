#!/usr/bin/env bash
# UniFormerV2-L/14 8x336 with a frozen ViT on Kinetics-600, from Kinetics-710 weights: train, then test.
# config.yaml says: 256 videos per node and batch, learning rate 5e-5, 5 epochs, 8 GPUs per node, 2 nodes.
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
