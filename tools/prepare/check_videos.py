"""Read every video of a config's lists as training would, and name those that cannot be read; exit status 1 if any.

python tools/prepare/check_videos.py --cfg configs/datasets/NAME.yaml [--output bad.csv] KEY VALUE ...
"""

from slowfast.cli.data.check_videos import main

if __name__ == "__main__":
    main()
