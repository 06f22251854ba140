"""Measure the throughput of training on this machine: loading and computing together, and each by itself.

python tools/benchmark_train.py [--steps N] [--warmup N] [--processes N ...] --cfg exp/NAME/config.yaml [KEY VALUE ...]
"""

from slowfast.cli.benchmarks.benchmark_train import main

if __name__ == "__main__":
    main()
