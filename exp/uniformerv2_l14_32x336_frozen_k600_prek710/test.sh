#!/usr/bin/env bash
# Test the run's checkpoint, or CHECKPOINT, with 4 clips x 3 crops per video, on one node.
NUM_SHARDS=${NUM_SHARDS:-1}
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" \
  TRAIN.ENABLE False TEST.NUM_ENSEMBLE_VIEWS 4 TEST.NUM_SPATIAL_CROPS 3 "$@"
