#!/usr/bin/env bash
# UniFormerV2-B/16 8x224 on Kinetics-600, from CLIP's weights: train, then test.
# Empty is what config.yaml says: 256 videos a node and batch, learning rate 1e-5, 55 epochs, 8 GPUs a node, 1 node.
BATCH_SIZE=${BATCH_SIZE:-} BASE_LR=${BASE_LR:-} EPOCHS=${EPOCHS:-} NUM_GPUS=${NUM_GPUS:-} NUM_SHARDS=${NUM_SHARDS:-}
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
