#!/usr/bin/env bash
# Test the quickstart's newest checkpoint, or CHECKPOINT, with 4 x 3 views: bash exp/quickstart/test.sh [KEY VALUE ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
NUM_GPUS=${NUM_GPUS:-0} CHECKPOINT=${CHECKPOINT:-}
DATA_DIR=${DATA_DIR:-data/moving_digits} OUTPUT_DIR=${OUTPUT_DIR:-runs/quickstart}
python tools/run_net.py --cfg exp/quickstart/config.yaml OUTPUT_DIR "$OUTPUT_DIR" TRAIN.ENABLE False \
  DATA.PATH_TO_DATA_DIR "$DATA_DIR" DATA.PATH_PREFIX "$DATA_DIR" DATA.CLASS_NAMES_FILE "$DATA_DIR/classes.txt" \
  NUM_GPUS "$NUM_GPUS" TEST.CHECKPOINT_FILE_PATH "$CHECKPOINT" "$@"
