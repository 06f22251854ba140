"""Train and test a model.

python tools/run_net.py [--init_method tcp://HOST:PORT --num_shards N --shard_id I] --cfg FILE [KEY VALUE ...]
"""

from slowfast.cli.run_net import main

if __name__ == "__main__":
    main()
