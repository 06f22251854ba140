"""Print the sizes of a model: parameters, multiply-adds, activations, peak memory of a training step.

python tools/model_info.py --cfg exp/NAME/config.yaml [KEY VALUE ...]
python tools/model_info.py --all
"""

from slowfast.cli.model_info import main

if __name__ == "__main__":
    main()
