#!/usr/bin/env bash
# Make the moving digits, train on them, test. Overrides: EPOCHS=3 bash exp/quickstart/run.sh [KEY VALUE ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BATCH_SIZE=${BATCH_SIZE:-16} BASE_LR=${BASE_LR:-1e-3} EPOCHS=${EPOCHS:-8} NUM_GPUS=${NUM_GPUS:-0} NUM_SHARDS=${NUM_SHARDS:-1}
DATA_DIR=${DATA_DIR:-data/moving_digits} OUTPUT_DIR=${OUTPUT_DIR:-runs/quickstart}
python tools/prepare/moving_digits.py "$DATA_DIR" --workers 2
python tools/run_net.py --cfg exp/quickstart/config.yaml OUTPUT_DIR "$OUTPUT_DIR" \
  DATA.PATH_TO_DATA_DIR "$DATA_DIR" DATA.PATH_PREFIX "$DATA_DIR" DATA.CLASS_NAMES_FILE "$DATA_DIR/classes.txt" \
  NUM_GPUS "$NUM_GPUS" NUM_SHARDS "$NUM_SHARDS" \
  TRAIN.BATCH_SIZE "$BATCH_SIZE" SOLVER.BASE_LR "$BASE_LR" SOLVER.MAX_EPOCH "$EPOCHS" "$@"
