"""Print the published figure of a checkpoint beside the one that a finished test measured, and what differs.

python tools/verify.py RUN
"""

from slowfast.cli.reports.verify import main

if __name__ == "__main__":
    main()
