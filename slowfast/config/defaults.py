"""Every shared config key with its default; a model family's section stands in a file of its own (``sections.py``).

The comment above a key gives its meaning, its unit and the values it takes. Types are those of the defaults
(``coerce.py`` lists the few keys that take several); ``validate.py`` holds the ranges and the cross-key rules. In keys
that name files or folders (``paths.py``), ``~`` is the home folder.
"""

from fvcore.common.config import CfgNode

from slowfast.config.sections import SECTIONS, SHARED_NAMES

_C = CfgNode()

# ---------------------------------------------------------------------------------------------------- the run
# Directory that receives the log, the resolved config, checkpoints and results; made if missing. One training at a time
# writes there, and one test to its folder test (see docs/cluster.md).
_C.OUTPUT_DIR = "./runs/default"
# GPUs of each node, one process each; 0 computes on the CPU, in one process unless torchrun or srun starts several.
_C.NUM_GPUS = 1
# Nodes (machines) that work together, at least 1.
_C.NUM_SHARDS = 1
# Seconds without a heartbeat after which a process of several counts as lost, which ends the others; at least 1.
_C.PEER_TIMEOUT_S = 120.0
# Seconds that a run which has been asked to stop (SIGTERM, SIGUSR2, Ctrl-C, SIGHUP) still waits for a batch that does
# not come, at least 0; a second signal ends that wait at once.
_C.STOP_TIMEOUT_S = 10.0
# Seed of Python, NumPy and torch, at least 0; each process derives its own from it.
_C.RNG_SEED = 1
# Steps between two lines of the log.
_C.LOG_PERIOD = 10
# Files of Python code that register models, losses, data sets or transforms of your own (docs/extending.md), imported
# before anything else is read; in a YAML file relative to its folder. --plugins FILE.py adds one.
_C.PLUGINS = []

# ---------------------------------------------------------------------------------------------------- training
_C.TRAIN = CfgNode()
# Train (and validate) before testing.
_C.TRAIN.ENABLE = True
# Training and validation data set: kinetics, kinetics_sparse, mit, sth, sth_video, anet, hacs, ucf101, ucf101_video,
# hmdb, hmdb_video, folder (DATASET.md says what each reads), or one of your own in DATASET_REGISTRY; case does not
# matter.
_C.TRAIN.DATASET = "kinetics"
# Videos per batch and node, split over its NUM_GPUS. Videos per step: this x NUM_SHARDS x SOLVER.ACCUM_STEPS; clips
# per step: that x AUG.NUM_SAMPLE.
_C.TRAIN.BATCH_SIZE = 64
# uniform: an epoch takes every training video once. balanced: as many videos as that, but of all classes equally many,
# so that those of rare classes come several times, each time with other frames and augmentation, and only some of
# frequent ones, others every epoch. Not with DATA.MULTI_LABEL.
_C.TRAIN.CLASS_SAMPLING = "uniform"
# Epochs between two validations; the last epoch is always validated.
_C.TRAIN.EVAL_PERIOD = 10
# Epochs between two checkpoints that are kept as checkpoint_epoch_NNNNN.pyth; the last epoch is always saved.
_C.TRAIN.CHECKPOINT_PERIOD = 10
# Most checkpoints kept of those: the newest ones, beside checkpoint_best and checkpoint_last; 0 keeps all.
_C.TRAIN.NUM_CHECKPOINTS_KEPT = 5
# Seconds after which checkpoint_last.pyth is written within an epoch, too; 0 writes it at the end of epochs only.
_C.TRAIN.CHECKPOINT_SECONDS = 1800.0
# Resume from the newest checkpoint of OUTPUT_DIR if it has one.
_C.TRAIN.AUTO_RESUME = True
# Checkpoint whose weights training starts from, at epoch 0, a file or an address; "" for what PRETRAIN says.
_C.TRAIN.CHECKPOINT_FILE_PATH = ""
# Train under autocast, in the type that MIXED_PRECISION_DTYPE names; False is float32.
_C.TRAIN.MIXED_PRECISION = True
# Type of autocast in training and testing: bf16; fp16 (with a loss scale in training); auto: bf16 on a GPU that has it,
# fp16 on another, and float32 on the CPU.
_C.TRAIN.MIXED_PRECISION_DTYPE = "auto"
# After training and test, write the best checkpoint as a model folder to OUTPUT_DIR/model (uniformer publish).
_C.TRAIN.PUBLISH = True
# Where metrics go beside metrics.jsonl, which has all of them: any of tensorboard (as TENSORBOARD.ENABLE), wandb (needs
# pip install 'uniformer-video[wandb]') and mlflow ('uniformer-video[mlflow]'); see docs/training.md.
_C.TRAIN.LOGGERS = []

# ---------------------------------------------------------------------------------------------------- testing
_C.TEST = CfgNode()
# Test after training, or alone where TRAIN.ENABLE is False.
_C.TEST.ENABLE = True
# Test data set: as TRAIN.DATASET.
_C.TEST.DATASET = "kinetics"
# Views (clip x crop) per forward pass of validation and test and per node, split over its NUM_GPUS.
_C.TEST.BATCH_SIZE = 8
# Temporal clips per video; with the crops below, views = clips x crops.
_C.TEST.NUM_ENSEMBLE_VIEWS = 10
# Spatial crops per clip: 1 (centre) or 3 (along the longer side).
_C.TEST.NUM_SPATIAL_CROPS = 3
# Views of a video are combined as probabilities (True) or as raw scores (False). Probabilities are a softmax over the
# classes, and with DATA.MULTI_LABEL a sigmoid for each class.
_C.TEST.ADD_SOFTMAX = True
# Checkpoint to test, a file or an address; "" tests the newest of OUTPUT_DIR (the best one with TEST_BEST), and where
# there is none TRAIN.CHECKPOINT_FILE_PATH.
_C.TEST.CHECKPOINT_FILE_PATH = ""
# Test the checkpoint with the best validation accuracy (mean average precision with DATA.MULTI_LABEL) rather than the
# newest; the newest where none has been validated.
_C.TEST.TEST_BEST = False
# Test the EMA of the weights (MODEL.EMA_EPOCH) that a checkpoint holds beside the weights themselves.
_C.TEST.USE_EMA = False
# Test (and validate) under autocast, in the type that TRAIN.MIXED_PRECISION_DTYPE names; False is float32.
_C.TEST.MIXED_PRECISION = False
# Go on with a test that was cut off in OUTPUT_DIR: the batches that it has scored are kept until its report is written.
# Where they are of other weights, videos, views or keys, the test is refused; False begins anew.
_C.TEST.AUTO_RESUME = True
# Score the clips with their frames in other orders, too, for what the order of time is worth to the model: a list of
# shuffled (the mean of 5 fixed permutations), reversed, frozen (the first, middle and last frame, each by itself),
# half_rate (every second frame twice), or all. The model then computes 1 + 5, 1, 3, 1, or 11 times as much.
_C.TEST.PROBES = []
# Where the scores of all classes go: csv (a column of predictions.csv), npz (scores.npz, float32) or none (nowhere).
_C.TEST.SCORES = "csv"
# Write the page of the test, test/report.html: classes, confusion, frames of mistakes (docs/testing.md). It reads some
# videos again.
_C.TEST.PAGE = True
# Score the validation list, too, on the views of the test, and report how well the probabilities are calibrated with
# the temperature that suits it best. Refused where the two lists share a video.
_C.TEST.FIT_TEMPERATURE = False

# ---------------------------------------------------------------------------------------------------- data
_C.DATA = CfgNode()
# Directory of the list files (train.csv, val.csv, test.csv or the names the data set uses).
_C.DATA.PATH_TO_DATA_DIR = ""
# Directory put before the paths that the list files give; "" leaves them as they are.
_C.DATA.PATH_PREFIX = ""
# What separates path and numbers in a list file, such as " " or ","; the lists of sth and hmdb need spaces.
_C.DATA.PATH_LABEL_SEPARATOR = " "
# Names of the list files of frame folders (sth, hmdb, ucf101); {} is replaced by train, val (else validation) or test.
_C.DATA.LABEL_PATH_TEMPLATE = "somesomev1_rgb_{}_split.txt"
# File name of a frame in a folder of frames; the braces take the file's number.
_C.DATA.IMAGE_TEMPLATE = "{:05d}.jpg"
# Number of the first file of a folder of frames; 0 where they are numbered from 0.
_C.DATA.IMAGE_START = 1
# Class names in label order: a file, one per line, or a shipped list such as kinetics400_uniformer; "" for none.
_C.DATA.CLASS_NAMES_FILE = ""
# Videos have one or more labels each, joined by ";" in the list: path,3;17. Needs LOSS_FUNC bce_logit, and a data set
# whose lists hold path and label: kinetics, kinetics_sparse, mit, ucf101_video or hmdb_video.
_C.DATA.MULTI_LABEL = False
# What decodes video files: pyav, decord or torchcodec. The last two are optional installations (pyav stands in for an
# absent decord) and refuse files in which they are not known to take the same frames as pyav.
_C.DATA.DECODING_BACKEND = "pyav"
# Frames per second at which sth_video reads its files: the frames that `ffmpeg -i VIDEO -r 30` would extract, which the
# published runs read as folders. 0: the frames that the files hold.
_C.DATA.STH_VIDEO_FPS = 30.0
# Read frames that the decoder flags as damaged, and those decoded from them, as it conceals the damage. Otherwise such
# a video is unreadable: training replaces it, a test fails it. decord and torchcodec do not tell, and read them always.
_C.DATA.ALLOW_DAMAGED_FRAMES = False
# Turn and mirror frames as their file says (phones note how they were held; pictures do so in EXIF). False: frames as
# they are stored.
_C.DATA.APPLY_ROTATION = True
# Leave it to FFmpeg what a path of a list means: also an address (http://...), or a playlist, which opens what it
# names. Otherwise nothing but the file of that name is opened, and playlists are refused.
_C.DATA.ALLOW_STREAMS = False
# Frames of a clip (T).
_C.DATA.NUM_FRAMES = 8
# Dense sampling: distance of two frames of a clip, in frames of the file.
_C.DATA.SAMPLING_RATE = 8
# Dense sampling: place the test clips in equal segments, with an offset, rather than from end to end.
_C.DATA.USE_OFFSET_SAMPLING = False
# Order of the colour channels of clips, set as frames are read, before any augmentation: rgb, or bgr, as the published
# experiments on Something-Something and HMDB51 have it. Testing and resuming want the order of the training.
_C.DATA.CHANNEL_ORDER = "rgb"
# Mean of each colour channel that is subtracted from values in [0, 1]; STD, too, is in the order of CHANNEL_ORDER.
_C.DATA.MEAN = [0.45, 0.45, 0.45]
# Standard deviation of each colour channel that values are divided by, above 0.
_C.DATA.STD = [0.225, 0.225, 0.225]
# Side of a training crop in pixels; UniFormerV2: a multiple of its patch (16 or 14), UniFormer: of 32.
_C.DATA.TRAIN_CROP_SIZE = 224
# Side of a validation or test crop in pixels, the same multiple; the frame's shorter side is resized to it.
_C.DATA.TEST_CROP_SIZE = 256
# Training: [smallest, largest] length of the resized shorter side in pixels, before a random crop; used where
# the two keys *_RELATIVE are empty.
_C.DATA.TRAIN_JITTER_SCALES = [256, 320]
# Training: [smallest, largest] area of a random resized crop as a fraction of the frame; [] for none.
_C.DATA.TRAIN_JITTER_SCALES_RELATIVE = []
# Training: [smallest, largest] aspect ratio (width / height) of a random resized crop; [] for none.
_C.DATA.TRAIN_JITTER_ASPECT_RELATIVE = []
# Training: draw the length for TRAIN_JITTER_SCALES uniformly in 1 / length rather than in length.
_C.DATA.INV_UNIFORM_SAMPLE = False
# Training: flip half of the clips left to right; False where direction matters (Something-Something).
_C.DATA.RANDOM_FLIP = True
# Flip even the videos of a data set whose classes tell left from right; otherwise RANDOM_FLIP is an error there.
_C.DATA.ALLOW_LABEL_CHANGING_FLIP = False
# How the views of a video are combined: sum or max.
_C.DATA.ENSEMBLE_METHOD = "sum"

_C.DATA_LOADER = CfgNode()
# Worker processes that load data, per training process, but no more than it has cores; 0 loads in the training process.
_C.DATA_LOADER.NUM_WORKERS = 8
# Load batches into page-locked memory, which speeds up copies to a GPU.
_C.DATA_LOADER.PIN_MEMORY = True
# Largest share of an epoch's training videos that may be unreadable; each is named and replaced by another video.
# More end the run with an error. In [0, 1].
_C.DATA_LOADER.MAX_REPLACED = 0.01
# Longest time that opening a video, and then reading its frames, may take, in seconds, above 0; beyond it the video
# counts as unreadable.
_C.DATA_LOADER.VIDEO_TIMEOUT_S = 60.0
# Longest wait for a batch of the worker processes, in seconds, above 0; beyond it the run ends with an error. The log
# warns of a wait every minute.
_C.DATA_LOADER.BATCH_TIMEOUT_S = 1800.0
# Pass batches through shared memory (/dev/shm); those that find no room there pass through files in the folder for
# temporary files (TMPDIR), which is slower. False takes files for all.
_C.DATA_LOADER.SHARED_MEMORY = True

# ---------------------------------------------------------------------------------------------------- augmentation
_C.AUG = CfgNode()
# Augment training clips by what follows.
_C.AUG.ENABLE = False
# Augmented clips drawn from each video per step (repeated augmentation), at least 1.
_C.AUG.NUM_SAMPLE = 1
# RandAugment policy (arXiv 1909.13719), such as rand-m7-n4-mstd0.5-inc1: m magnitude, n operations, mstd noise
# of the magnitude, inc1 stronger with magnitude; "" for none.
_C.AUG.AA_TYPE = "rand-m9-mstd0.5-inc1"
# Strength of the colour jitter that is applied where AA_TYPE is "", at least 0.
_C.AUG.COLOR_JITTER = 0.4
# Interpolation of the augmentation's geometric operations: bicubic, bilinear or random.
_C.AUG.INTERPOLATION = "bicubic"
# Random erasing (arXiv 1708.04896): probability per clip.
_C.AUG.RE_PROB = 0.25
# Random erasing: const (the mean colour), rand (one colour) or pixel (noise).
_C.AUG.RE_MODE = "pixel"
# Random erasing: largest number of rectangles, at least 1.
_C.AUG.RE_COUNT = 1
# Names of further transforms of training clips, registered in TRANSFORM_REGISTRY by code of your own; they are applied
# in this order between the flip and random erasing.
_C.AUG.EXTRA_TRANSFORMS = []

_C.MIXUP = CfgNode()
# Mix training clips (mixup, arXiv 1710.09412, and cutmix, arXiv 1905.04899); needs soft_cross_entropy.
_C.MIXUP.ENABLE = False
# Mixup: parameter of the Beta distribution; 0 turns mixup off.
_C.MIXUP.ALPHA = 0.8
# Cutmix: parameter of the Beta distribution; 0 turns cutmix off.
_C.MIXUP.CUTMIX_ALPHA = 1.0
# Probability that a batch is mixed.
_C.MIXUP.PROB = 1.0
# Probability of cutmix rather than mixup where both are on.
_C.MIXUP.SWITCH_PROB = 0.5
# Label smoothing of the mixed targets, in [0, 1).
_C.MIXUP.LABEL_SMOOTH_VALUE = 0.1

# ---------------------------------------------------------------------------------------------------- model
_C.MODEL = CfgNode()
# Model family: Uniformer, Uniformerv2, or a lightweight UniFormer (Uniformer_light, Uniformer_light_fp32 and
# Uniformer_light_ls_fp32).
_C.MODEL.MODEL_NAME = "Uniformerv2"
# Classes (K).
_C.MODEL.NUM_CLASSES = 400
# cross_entropy; soft_cross_entropy (targets are probabilities, as mixup gives them); bce_logit (binary cross entropy of
# each class by itself, for DATA.MULTI_LABEL); or one of your own in LOSS_REGISTRY.
_C.MODEL.LOSS_FUNC = "cross_entropy"
# Share of each target of cross_entropy that is spread over all classes alike, in [0, 1); with mixup,
# MIXUP.LABEL_SMOOTH_VALUE takes its place.
_C.MODEL.LABEL_SMOOTHING = 0.0
# Weights of the classes in the loss: "" for none; balanced, so that rare classes count as much as frequent ones
# (docs/training.md has the formula); or a file with one weight per line, in the order of the labels.
_C.MODEL.CLASS_WEIGHTS = ""
# Directory under which published weights are looked for.
_C.MODEL.WEIGHTS_DIR = "weights"
# Order of the classes in the weights that training starts from, or a public checkpoint to test: "" as the source
# implies (our own carry their names); a shipped list such as kinetics400_uniformer, or a file of names, one per line,
# which also confirms an order that the log calls assumed; same, to assert that it is ours; reset, to start the
# classifier afresh.
_C.MODEL.CHECKPOINT_CLASS_ORDER = ""
# Compile the model with torch.compile; the first steps then take minutes. Needs a C++ compiler on the CPU.
_C.MODEL.COMPILE = False
# Recompute activations in the backward pass to save memory (gradient checkpointing).
_C.MODEL.USE_CHECKPOINT = False
# Leading blocks that are recomputed. Uniformer and its light models: four entries, one per stage; Uniformerv2: the
# first entry counts.
_C.MODEL.CHECKPOINT_NUM = [0, 0, 0, 0]
# Decay per step of the EMA (exponential moving average) of the weights, in [0, 1).
_C.MODEL.EMA_DECAY = 0.9999
# First epoch (0-based) that keeps the EMA; -1 keeps none.
_C.MODEL.EMA_EPOCH = -1

_C.BN = CfgNode()
# batchnorm, or sync_batchnorm (statistics over all processes; several processes need GPUs for it).
_C.BN.NORM_TYPE = "batchnorm"
# Weight decay of the parameters of normalisation layers.
_C.BN.WEIGHT_DECAY = 0.0
# Recompute the running statistics from training data before each validation.
_C.BN.USE_PRECISE_STATS = False
# Batches that this takes, at least 1; of several processes rank 0's statistics are kept.
_C.BN.NUM_BATCHES_PRECISE = 200

# ---------------------------------------------------------------------------------------------------- solver
_C.SOLVER = CfgNode()
# sgd, adam or adamw, or one of your own in OPTIMIZER_REGISTRY.
_C.SOLVER.OPTIMIZING_METHOD = "sgd"
# Batches of TRAIN.BATCH_SIZE videos whose gradients are averaged for one step, at least 1.
_C.SOLVER.ACCUM_STEPS = 1
# Learning rate after warm-up.
_C.SOLVER.BASE_LR = 0.1
# Multiply BASE_LR, WARMUP_START_LR and COSINE_END_LR by NUM_SHARDS.
_C.SOLVER.BASE_LR_SCALE_NUM_SHARDS = False
# Factor of the learning rate of the backbone: Uniformerv2's image ViT, or all of Uniformer but its classifier.
_C.SOLVER.BACKBONE_LR_RATIO = 1.0
# Layer-wise decay of the learning rate, in (0, 1]; 1 for none. The rate of layer i of L is that of the head times
# LAYER_DECAY ** (L + 1 - i). Layer 0 is the embedding and layer i the i-th block: of Uniformerv2's ViT with what was
# added inside the block, or of Uniformer's four stages in order. BACKBONE_LR_RATIO multiplies it.
_C.SOLVER.LAYER_DECAY = 1.0
# cosine (to COSINE_END_LR at MAX_EPOCH), or steps_with_relative_lrs (BASE_LR x LRS[i] from epoch STEPS[i] on).
_C.SOLVER.LR_POLICY = "cosine"
# Learning rate at the end of the cosine policy.
_C.SOLVER.COSINE_END_LR = 0.0
# The cosine starts after warm-up (True) or at epoch 0 (False).
_C.SOLVER.COSINE_AFTER_WARMUP = False
# Steps policy: first epoch of each step, from 0 on, increasing.
_C.SOLVER.STEPS = []
# Steps policy: factor of BASE_LR in each step.
_C.SOLVER.LRS = []
# Epochs of training.
_C.SOLVER.MAX_EPOCH = 300
# Validations in a row without a new best accuracy after which training ends early; 0 trains to MAX_EPOCH. The schedule
# of the learning rate stays that of MAX_EPOCH.
_C.SOLVER.PATIENCE = 0
# Epochs of linear warm-up, may be a fraction; at most MAX_EPOCH.
_C.SOLVER.WARMUP_EPOCHS = 0.0
# Learning rate at the start of warm-up.
_C.SOLVER.WARMUP_START_LR = 0.01
# Momentum of sgd, in [0, 1).
_C.SOLVER.MOMENTUM = 0.9
# Dampening of sgd's momentum.
_C.SOLVER.DAMPENING = 0.0
# Nesterov momentum for sgd.
_C.SOLVER.NESTEROV = True
# Weight decay; BN.WEIGHT_DECAY is that of normalisation layers.
_C.SOLVER.WEIGHT_DECAY = 1e-4
# No weight decay for parameters of one dimension (biases and scales).
_C.SOLVER.ZERO_WD_1D_PARAM = False
# Largest norm of the gradient of all parameters; beyond it, it is scaled down. 0 or less turns it off.
_C.SOLVER.CLIP_GRADIENT = 20.0
# Largest magnitude of an element of the gradient; beyond it, it is cut off. 0 turns it off; above 0 it takes the place
# of CLIP_GRADIENT, as in SlowFast.
_C.SOLVER.CLIP_GRAD_VAL = 0.0

# ---------------------------------------------------------------------------------------------------- logging
_C.TENSORBOARD = CfgNode()
# Write training curves for TensorBoard under OUTPUT_DIR, as TRAIN.LOGGERS tensorboard does.
_C.TENSORBOARD.ENABLE = False

SHARED_NAMES.update(_C)


def get_cfg() -> CfgNode:
    """Give a fresh copy of the defaults.

    Returns:
        The whole tree, not frozen; changing it leaves the defaults alone.
    """
    cfg = _C.clone()
    for section in SECTIONS.values():
        cfg[section.name] = section.defaults.clone()
    return cfg
