#!/usr/bin/env bash
# UniFormerV2-L/14 16x224 on Something-Something V2, from CLIP's weights: train, then test.
# Empty is what config.yaml says: 64 videos a node and batch, learning rate 2e-5, 22 epochs, 8 GPUs a node, 2 nodes.
BATCH_SIZE=${BATCH_SIZE:-} BASE_LR=${BASE_LR:-} EPOCHS=${EPOCHS:-} NUM_GPUS=${NUM_GPUS:-} NUM_SHARDS=${NUM_SHARDS:-}
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
