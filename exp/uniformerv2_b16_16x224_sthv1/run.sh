#!/usr/bin/env bash
# UniFormerV2-B/16 16x224 on Something-Something V1, from CLIP's weights: train, then test.
# Empty is what config.yaml says: 128 videos a node and batch, learning rate 4e-5, 22 epochs, 8 GPUs a node, 1 node.
BATCH_SIZE=${BATCH_SIZE:-} BASE_LR=${BASE_LR:-} EPOCHS=${EPOCHS:-} NUM_GPUS=${NUM_GPUS:-} NUM_SHARDS=${NUM_SHARDS:-}
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
