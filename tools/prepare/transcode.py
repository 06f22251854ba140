"""Transcode videos to a shorter short side and short groups of pictures, from which single frames are read fast.

python tools/prepare/transcode.py ROOT OUT [--short-side 320] [--gop 16]
"""

from slowfast.cli.data.transcode import main

if __name__ == "__main__":
    main()
