"""Convert a checkpoint of a video model to the form of the authors' code, of MMAction2 or of this project.

python tools/convert_weights.py IN OUT --to {authors,mmaction2,ours} [--classes LIST] [--source-classes LIST]
"""

from slowfast.cli.convert_weights import main

if __name__ == "__main__":
    main()
