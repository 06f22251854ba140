#!/usr/bin/env bash
# Make the moving digits, train on them, test. Overrides: EPOCHS=3 bash exp/quickstart/run.sh [KEY VALUE ...]
# Empty is what config.yaml says: 16 videos a node and batch, learning rate 1e-3, 8 epochs, 0 GPUs a node, 1 node.
BATCH_SIZE=${BATCH_SIZE:-} BASE_LR=${BASE_LR:-} EPOCHS=${EPOCHS:-} NUM_GPUS=${NUM_GPUS:-} NUM_SHARDS=${NUM_SHARDS:-}
DATA_DIR=${DATA_DIR:-data/moving_digits}
PATH_PREFIX=${PATH_PREFIX:-$DATA_DIR}
exp=$(dirname "${BASH_SOURCE[0]}")/..
(cd "$exp/.." && python tools/prepare/moving_digits.py "$DATA_DIR" --workers 2) || exit
source "$exp/start.sh" DATA.CLASS_NAMES_FILE "$DATA_DIR/classes.txt" "$@"
