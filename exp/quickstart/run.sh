#!/usr/bin/env bash
# Make the moving digits, train on them, test. Overrides: EPOCHS=3 bash exp/quickstart/run.sh [KEY VALUE ...]
# config.yaml says: 16 videos per node and batch, learning rate 1e-3, 8 epochs, 0 GPUs per node, 1 node.
DATA_DIR=${DATA_DIR:-data/moving_digits}
PATH_PREFIX=${PATH_PREFIX:-$DATA_DIR}
prepare() { python tools/prepare/moving_digits.py --workers 2 -- "$DATA_DIR"; }
source "$(dirname "${BASH_SOURCE[0]}")/../start.sh" DATA.CLASS_NAMES_FILE "$DATA_DIR/classes.txt" "$@"
