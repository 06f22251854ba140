#!/usr/bin/env bash
# Test the run's checkpoint, or CHECKPOINT, with 4 clips x 1 crop per video, on one node.
NUM_SHARDS=${NUM_SHARDS:-1}
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" \
  TRAIN.ENABLE False TEST.NUM_ENSEMBLE_VIEWS 4 "$@"
