"""Measure how long loading takes, beside decord, torchcodec and Pillow where they are installed.

python tools/benchmark_data.py VIDEO [VIDEO ...] [--repeats 15] [--memory-clips 2000]
"""

from slowfast.cli.benchmarks.benchmark_data import main

if __name__ == "__main__":
    main()
