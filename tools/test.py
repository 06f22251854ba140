"""Test a checkpoint, and dump its scores.

python tools/test.py CONFIG CHECKPOINT [--dump result.pkl|.npz|.csv|.json] [--views 4x3] [KEY VALUE ...]
"""

from slowfast.cli.reports.test import main

if __name__ == "__main__":
    main()
