"""Config keys of the two model families: ``UNIFORMER.*`` and ``UNIFORMERV2.*``."""

from fvcore.common.config import CfgNode


def add_model_defaults(cfg: CfgNode) -> None:
    """Add both families' sections to ``cfg``."""
    cfg.UNIFORMER = _uniformer()
    cfg.UNIFORMERV2 = _uniformerv2()


def _uniformer() -> CfgNode:
    """Keys of UniFormer (arXiv 2201.04676); lists have one entry for each of its four stages."""
    section = CfgNode()
    # Published weights to start from, such as uniformer_small_in1k, found under MODEL.WEIGHTS_DIR as <name>.pth or
    # .pyth; or a file or an address, as for UNIFORMERV2.PRETRAIN; None for random initialisation.
    section.PRETRAIN_NAME = None
    # Blocks of each stage.
    section.DEPTH = [3, 4, 8, 3]
    # Channels of each stage; stages 3 and 4 need multiples of HEAD_DIM.
    section.EMBED_DIM = [64, 128, 320, 512]
    # Channels of an attention head.
    section.HEAD_DIM = 64
    # Hidden width of the feed-forward networks over the channels: one number, or one for each stage.
    section.MLP_RATIO = [4.0, 4.0, 4.0, 4.0]
    # Learn a bias for queries, keys and values.
    section.QKV_BIAS = True
    # Scale of the attention scores; None is HEAD_DIM ** -0.5.
    section.QKV_SCALE = None
    # Dropout after the patch embedding, in feed-forward networks and of the attention's output, in [0, 1).
    section.DROPOUT_RATE = 0.0
    # Dropout of attention weights, in [0, 1).
    section.ATTENTION_DROPOUT_RATE = 0.0
    # Stochastic depth of the last block, in [0, 1); it grows linearly from 0 at the first.
    section.DROP_DEPTH_RATE = 0.1
    # Stages 3 and 4 attend over time, then over space (True), or over both at once (False).
    section.SPLIT = False
    # Patch embeddings 2 to 4 overlap in time: their kernels span three frames rather than one.
    section.STD = False
    return section


def _uniformerv2() -> CfgNode:
    """Keys of UniFormerV2 (arXiv 2211.09552): an image ViT, local UniBlocks inside it, global ones beside it."""
    section = CfgNode()
    # Image ViT: uniformerv2_b16, uniformerv2_l14, uniformerv2_l14_336 (vit_b16, vit_l14, vit_l14_336 mean the
    # same), or custom, which takes its sizes from the five keys below.
    section.BACKBONE = "uniformerv2_b16"
    # custom: channels.
    section.WIDTH = 768
    # custom: blocks.
    section.LAYERS = 12
    # custom: attention heads, dividing WIDTH.
    section.HEADS = 12
    # custom: side of a patch in pixels.
    section.PATCH_SIZE = 16
    # custom: input size in pixels whose grid the positional embedding has.
    section.NATIVE_SIZE = 224
    # Weights to start from: "" the backbone's CLIP weights (vit_b16.pth, vit_l14.pth or vit_l14_336.pth under
    # MODEL.WEIGHTS_DIR), "none" random initialisation, "timm:<model>" an image ViT that timm downloads, otherwise a
    # file (looked for as given, then under MODEL.WEIGHTS_DIR) or an http(s) address, "#sha256=<digits>" after it
    # checks it. "jit:" before a file or an address opens a TorchScript archive, as OpenAI's CLIP comes.
    section.PRETRAIN = ""
    # A classifier of another size in PRETRAIN: True initialises ours afresh; False maps its rows by class name.
    section.DELETE_SPECIAL_HEAD = False
    # Activation of the ViT: quick_gelu (OpenAI's CLIP) or gelu (most others). "" is quick_gelu, too, but refuses
    # weights that do not tell which of the two they were trained with.
    section.ACTIVATION = ""
    # LayerNorm before the ViT's first block: True for CLIP, False for supervised ViT, DeiT, DINO and MAE.
    section.PRE_NORM = True
    # Epsilon of the ViT's LayerNorms: 1e-5 for CLIP, 1e-6 for supervised ViT, DeiT, DINO and MAE.
    section.NORM_EPS = 1e-5
    # Train only what is added to the image ViT.
    section.FROZEN = False
    # Halve the frames: the patch embedding spans three frames with a stride of two.
    section.TEMPORAL_DOWNSAMPLE = True
    # Leave the local temporal attention (LMHRA) out of the ViT's blocks.
    section.NO_LMHRA = False
    # LMHRA both before and after the spatial attention (True) or only before it (False).
    section.DOUBLE_LMHRA = True
    # Factor by which LMHRA reduces the channels, at least 1.
    section.DW_REDUCTION = 1.5
    # Stochastic depth of the ViT's last block, in [0, 1); it grows linearly from 0 at the first.
    section.BACKBONE_DROP_PATH_RATE = 0.0
    # Global UniBlocks.
    section.N_LAYERS = 4
    # 0-based ViT blocks whose tokens the global UniBlocks read, one each, increasing.
    section.RETURN_LIST = [8, 9, 10, 11]
    # Channels of the global UniBlocks: the ViT's width (768 for b16, 1024 for l14).
    section.N_DIM = 768
    # Attention heads of the global UniBlocks, dividing N_DIM.
    section.N_HEAD = 12
    # Hidden width of their feed-forward networks over N_DIM.
    section.MLP_FACTOR = 4.0
    # Dropout of their feed-forward networks, at least one rate a block, each in [0, 1).
    section.MLP_DROPOUT = [0.5, 0.5, 0.5, 0.5]
    # Stochastic depth of the last global UniBlock, in [0, 1); it grows linearly from 0 at the first.
    section.DROP_PATH_RATE = 0.0
    # Dropout before the classifier, in [0, 1).
    section.CLS_DROPOUT = 0.5
    return section
