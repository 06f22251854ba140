#!/usr/bin/env bash
# The fast tests with the oldest releases that pyproject.toml allows, in a fresh virtual environment: .ci/oldest.sh FOLDER
set -euo pipefail
scratch=$1
CDPATH= cd "$(dirname "${BASH_SOURCE[0]}")/.."
source .ci/steps.sh
unset PYTHONPATH VIRTUAL_ENV

# The oldest Python that pyproject.toml allows, where this machine has it.
python=python3
for candidate in python3.10 "$(pyenv prefix 3.10 2>/dev/null || true)/bin/python"; do
  if "$candidate" -c "" 2>/dev/null; then
    python=$candidate
    break
  fi
done

"$python" -m venv "$scratch/venv-oldest"
PATH=$scratch/venv-oldest/bin:$PATH
python .ci/oldest_versions.py >"$scratch/oldest.txt"
step "oldest versions: install" pip install --quiet -e '.[test]' --constraint "$scratch/oldest.txt"
python --version
step "oldest versions: fast tests" pytest -n 2 --dist loadfile -m "not slow"
