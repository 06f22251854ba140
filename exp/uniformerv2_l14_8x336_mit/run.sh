#!/usr/bin/env bash
# UniFormerV2-L/14 8x336 on Moments in Time, from Kinetics-710 and Kinetics-400 weights: train, then test.
# Empty is what config.yaml says: 128 videos a node and batch, learning rate 1e-5, 18 epochs, 8 GPUs a node, 4 nodes.
BATCH_SIZE=${BATCH_SIZE:-} BASE_LR=${BASE_LR:-} EPOCHS=${EPOCHS:-} NUM_GPUS=${NUM_GPUS:-} NUM_SHARDS=${NUM_SHARDS:-}
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" "$@"
