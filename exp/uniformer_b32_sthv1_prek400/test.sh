#!/usr/bin/env bash
# Test the run's checkpoint, or CHECKPOINT, with 1 clip x 3 crops per video, on one node.
NUM_SHARDS=${NUM_SHARDS:-1}
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" \
  TRAIN.ENABLE False TEST.NUM_SPATIAL_CROPS 3 "$@"
