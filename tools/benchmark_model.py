"""Measure the speed and the memory of a model on this machine.

python tools/benchmark_model.py --cfg exp/NAME/config.yaml --batch N [--compile] [--against_plain] [KEY VALUE ...]
"""

from slowfast.cli.benchmarks.benchmark_model import main

if __name__ == "__main__":
    main()
