#!/usr/bin/env bash
# Test the run's checkpoint, or CHECKPOINT, with 1 clip x 1 crop per video, on one node.
NUM_SHARDS=${NUM_SHARDS:-1}
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" TRAIN.ENABLE False "$@"
