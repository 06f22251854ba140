#!/usr/bin/env bash
# UniFormerV2-L/14 16x224 on Kinetics-400, from Kinetics-710 weights: train, then test.
# Empty is what config.yaml says: 64 videos a node and batch, learning rate 1.5e-6, 5 epochs, 8 GPUs a node, 4 nodes.
BATCH_SIZE=${BATCH_SIZE:-} BASE_LR=${BASE_LR:-} EPOCHS=${EPOCHS:-} NUM_GPUS=${NUM_GPUS:-} NUM_SHARDS=${NUM_SHARDS:-}
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
