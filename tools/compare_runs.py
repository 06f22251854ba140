"""Compare the metrics and checkpoints of two trainings, bit by bit: "identical", or where they begin to differ.

python tools/compare_runs.py RUN RUN

The exit status is 0 for identical runs, 1 for different ones, and 2 for a mistake.
"""

from slowfast.cli.compare_runs import main

if __name__ == "__main__":
    main()
