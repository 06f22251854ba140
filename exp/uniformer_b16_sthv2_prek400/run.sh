#!/usr/bin/env bash
# UniFormer-B 16x224 on Something-Something V2, from Kinetics-400 weights: train, then test.
# Empty is what config.yaml says: 40 videos a node and batch, learning rate 2.5e-4, 50 epochs, 8 GPUs a node, 1 node.
BATCH_SIZE=${BATCH_SIZE:-} BASE_LR=${BASE_LR:-} EPOCHS=${EPOCHS:-} NUM_GPUS=${NUM_GPUS:-} NUM_SHARDS=${NUM_SHARDS:-}
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
