"""Print a config as it is resolved from the defaults, a file with its bases, and overrides.

python tools/show_config.py --cfg exp/NAME/config.yaml [--diff] [KEY VALUE ...]
"""

from slowfast.cli.show_config import main

if __name__ == "__main__":
    main()
