#!/usr/bin/env bash
# Test the quickstart's newest checkpoint, or CHECKPOINT, with 4 x 3 views: bash exp/quickstart/test.sh [KEY VALUE ...]
NUM_SHARDS=${NUM_SHARDS:-1}
DATA_DIR=${DATA_DIR:-data/moving_digits}
PATH_PREFIX=${PATH_PREFIX:-$DATA_DIR}
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" \
  TRAIN.ENABLE False DATA.CLASS_NAMES_FILE "$DATA_DIR/classes.txt" "$@"
