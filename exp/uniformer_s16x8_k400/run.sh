#!/usr/bin/env bash
# UniFormer-S 16x224 (every 8th frame) on Kinetics-400, from ImageNet weights: train, then test.
# Empty is what config.yaml says: 32 videos a node and batch, learning rate 1e-4, 110 epochs, 8 GPUs a node, 1 node.
BATCH_SIZE=${BATCH_SIZE:-} BASE_LR=${BASE_LR:-} EPOCHS=${EPOCHS:-} NUM_GPUS=${NUM_GPUS:-} NUM_SHARDS=${NUM_SHARDS:-}
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
