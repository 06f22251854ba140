#!/usr/bin/env bash
# UniFormerV2-L/14 8x336 with a frozen ViT on Kinetics-400, from CLIP's weights: train, then test.
# Empty is what config.yaml says: 256 videos a node and batch, learning rate 8e-4, 50 epochs, 8 GPUs a node, 2 nodes.
BATCH_SIZE=${BATCH_SIZE:-} BASE_LR=${BASE_LR:-} EPOCHS=${EPOCHS:-} NUM_GPUS=${NUM_GPUS:-} NUM_SHARDS=${NUM_SHARDS:-}
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
