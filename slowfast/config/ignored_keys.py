"""Keys of well-known SlowFast and UniFormer files that are accepted without effect.

Each entry says why. A name ending in ``.*`` stands for a whole section. What is ignored is named in one warning
per load and never reaches the resolved config. Keys of a model family's section stand with it (``sections.py``).
"""

from typing import Any

_NO_DETECTION = "only classification of whole videos is done here"
_OTHER_MODEL = "only UniFormer and UniFormerV2 are built here"
_BUILT_IN = "fixed in the model"
_NO_SUB_BATCHNORM = "there is no sub_batchnorm; sync_batchnorm spans all processes"
_NEVER_READ = "no learning rate policy reads it"
_NO_PLOTS = "TensorBoard gets scalar curves only"
_CHECKPOINT_FORM = "the form of a checkpoint is told from its content"

IGNORED_KEYS: dict[str, str] = {
    "AUG.RE_SPLIT": "erasing applies to every clip",
    "AVA.*": _NO_DETECTION,
    "BENCHMARK.*": "tools/benchmark_data.py and tools/benchmark_train.py measure loading",
    "BN.EPSILON": _BUILT_IN,
    "BN.FREEZE": "the running statistics are always trained",
    "BN.MOMENTUM": _BUILT_IN,
    "BN.NUM_SPLITS": _NO_SUB_BATCHNORM,
    "BN.NUM_SYNC_DEVICES": _NO_SUB_BATCHNORM,
    "DATA.INPUT_CHANNEL_NUM": "clips have three channels",
    "DATA.MC": "frames are read from disk or a mounted store",
    "DATA.PATH_TO_PRELOAD_IMDB": "there is no preloaded image database",
    "DATA.REVERSE_INPUT_CHANNEL": "DATA.CHANNEL_ORDER orders the channels",
    "DATA.TARGET_FPS": "SAMPLING_RATE counts frames of the file, whatever its rate",
    "DATA.TRAIN_JITTER_MOTION_SHIFT": "the crop of a clip does not move",
    "DATA.TRAIN_PCA_EIGVAL": "there is no PCA colour jitter",
    "DATA.TRAIN_PCA_EIGVEC": "there is no PCA colour jitter",
    "DATA_LOADER.ENABLE_MULTI_THREAD_DECODE": "worker processes decode in parallel; see DATA_LOADER.NUM_WORKERS",
    "DEMO.*": "there is no live demo",
    "DETECTION.*": _NO_DETECTION,
    "DIST_BACKEND": "nccl is used on GPUs and gloo on the CPU",
    "LOG_MODEL_INFO": "the size of the model is always logged; tools/model_info.py counts multiply-adds",
    "MODEL.ARCH": "MODEL.MODEL_NAME names the model",
    "MODEL.DROPCONNECT_RATE": _OTHER_MODEL,
    "MODEL.FC_INIT_STD": _BUILT_IN,
    "MODEL.HEAD_ACT": "TEST.ADD_SOFTMAX says whether scores are probabilities",
    "MODEL.MULTI_PATHWAY_ARCH": _OTHER_MODEL,
    "MODEL.SINGLE_PATHWAY_ARCH": _OTHER_MODEL,
    "MULTIGRID.*": "the shape of clips is the same in all epochs",
    "MVIT.*": _OTHER_MODEL,
    "NONLOCAL.*": _OTHER_MODEL,
    "RESNET.*": _OTHER_MODEL,
    "SHARD_ID": "the launcher gives each node its number",
    "SLOWFAST.*": _OTHER_MODEL,
    "SOLVER.GAMMA": _NEVER_READ,
    "SOLVER.SPECIAL_LIST": "BACKBONE_LR_RATIO and LAYER_DECAY give parts of a model rates of their own",
    "SOLVER.SPECIAL_RATIO": "BACKBONE_LR_RATIO and LAYER_DECAY give parts of a model rates of their own",
    "SOLVER.STEP_SIZE": _NEVER_READ,
    "SOLVER.WARMUP_FACTOR": "warm-up starts from WARMUP_START_LR",
    "TENSORBOARD.CATEGORIES_PATH": _NO_PLOTS,
    "TENSORBOARD.CLASS_NAMES_PATH": "DATA.CLASS_NAMES_FILE names the classes",
    "TENSORBOARD.CONFUSION_MATRIX.*": _NO_PLOTS,
    "TENSORBOARD.HISTOGRAM.*": _NO_PLOTS,
    "TENSORBOARD.LOG_DIR": "curves are written under OUTPUT_DIR",
    "TENSORBOARD.MODEL_VIS.*": _NO_PLOTS,
    "TENSORBOARD.PARENT_MAP_PATH": _NO_PLOTS,
    "TENSORBOARD.PREDICTIONS_PATH": _NO_PLOTS,
    "TENSORBOARD.WRONG_PRED_VIS.*": _NO_PLOTS,
    "TEST.CHECKPOINT_TYPE": _CHECKPOINT_FORM,
    "TEST.INTERVAL": "testing shows a progress bar rather than lines",
    "TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN": _CHECKPOINT_FORM,
    "TRAIN.CHECKPOINT_EPOCH_RESET": "weights given by TRAIN.CHECKPOINT_FILE_PATH always start at epoch 0",
    "TRAIN.CHECKPOINT_INFLATE": _CHECKPOINT_FORM,
    "TRAIN.CHECKPOINT_TYPE": _CHECKPOINT_FORM,
    "TRAIN.SAVE_LATEST": "the latest state is always kept, as checkpoint_last.pyth",
    "MODEL.DROPOUT_RATE": "UNIFORMERV2.CLS_DROPOUT is the dropout before the classifier; Uniformer has none",
    "TEST.SAVE_RESULTS_PATH": "the scores of every test go to OUTPUT_DIR/test/predictions.csv",
    "X3D.*": _OTHER_MODEL,
}

# Keys of which only one value has no effect. Ignoring another would change the figures, and nothing would show it.
ONLY_ACCEPTED: dict[str, tuple[Any, str]] = {
    "DATA.REVERSE_INPUT_CHANNEL": (
        False,
        "True would reverse the channels after augmentation and normalisation, which is not done here; remove it and "
        "give DATA.CHANNEL_ORDER, which orders the channels before augmentation, with DATA.MEAN and STD in its order: "
        "bgr for videos, rgb for folders of frames, which SlowFast reads as BGR",
    ),
}


def why_ignored(key: str) -> str | None:
    """Say why a key is accepted without effect.

    Args:
        key: full dotted key, or a section.

    Returns:
        The reason, or None if the key is not an ignored one.
    """
    if key in IGNORED_KEYS:
        return IGNORED_KEYS[key]
    parts = key.split(".")
    sections = (".".join(parts[:depth]) + ".*" for depth in range(1, len(parts) + 1))
    return next((IGNORED_KEYS[section] for section in sections if section in IGNORED_KEYS), None)
