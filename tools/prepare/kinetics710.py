"""Merge the training lists of Kinetics-400, -600 and -700 into Kinetics-710, or compare lists by YouTube id.

python tools/prepare/kinetics710.py OUT --k400 FOLDER --k600 FOLDER --k700 FOLDER [--held-out LIST ...]
python tools/prepare/kinetics710.py --check LIST LIST [LIST ...]
"""

from slowfast.cli.data.kinetics710 import main

if __name__ == "__main__":
    main()
