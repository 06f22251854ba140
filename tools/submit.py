"""Submit training and testing to SLURM, or run it in the background of this machine.

python tools/submit.py --cfg exp/NAME/config.yaml --num_shards 4 --num_gpus 8 --partition P [--wait] [KEY VALUE ...]
"""

from slowfast.cli.submit import main

if __name__ == "__main__":
    main()
