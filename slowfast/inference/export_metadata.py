"""What an exported network says of itself: what to feed it, what its outputs mean, and what it made of one clip."""

import base64
import os

from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.datasets.catalog import (
    DATASET_REGISTRY,
    build_dense_sampler,
    build_resampled_opener,
    build_sparse_sampler,
)
from slowfast.inference.classifier import VideoClassifier
from slowfast.inference.settings import settings_of
from slowfast.runtime.reproduce import versions

FORMAT = "uniformer-video export 1"


def export_metadata(
    classifier: VideoClassifier, clip: Tensor, logits: Tensor, *, has_free_frames: bool
) -> dict[str, object]:
    """JSON values by name.

    Args:
        classifier: whose network it is.
        clip: of the proof, uint8 (1, 3, T, H, W).
        logits: float32 (1, K), that the network gives for it.
        has_free_frames: whether clips may have other numbers of frames.
    """
    cfg, names = classifier.cfg, classifier.class_names
    num_clips, num_crops = classifier.views
    return {
        "format": FORMAT,
        "architecture": cfg.MODEL.MODEL_NAME,
        "input": "uint8 clips (N, 3, T, H, W)",
        "output": "logits (N, K)",
        "class_names": None if names is None else list(names),
        "class_note": classifier.class_note,
        "num_frames": cfg.DATA.NUM_FRAMES,
        "has_free_frames": has_free_frames,
        "sampling": _sampling(cfg),
        "short_side_px": cfg.DATA.TEST_CROP_SIZE,
        "crop_px": cfg.DATA.TEST_CROP_SIZE,
        "channel_order": cfg.DATA.CHANNEL_ORDER,
        "mean": list(cfg.DATA.MEAN),
        "std": list(cfg.DATA.STD),
        "views": {"clips": num_clips, "crops": num_crops},
        "activation": "sigmoid" if cfg.DATA.MULTI_LABEL else "softmax",
        "average_over_views": "probabilities" if cfg.TEST.ADD_SOFTMAX else "logits",
        "source": os.path.basename(os.path.normpath(classifier.source)) if classifier.source else "",
        "settings": settings_of(cfg),
        "versions": versions(),
        "proof": {
            "clip_shape": list(clip.shape),
            "clip_base64": base64.b64encode(clip.contiguous().numpy().tobytes()).decode("ascii"),
            "logits": logits[0].tolist(),
        },
    }


def _sampling(cfg: CfgNode) -> dict[str, object]:
    """Which frames make a clip: sparse, one of each of T equal parts of the video; or dense, every stride-th frame.

    Of a dense clip alone, ``has_offset_views`` says that it lies in the middle of the video, else it begins with it.
    ``fps`` is there where frames are those of another rate than the file's.
    """
    entry = DATASET_REGISTRY.find("TEST.DATASET", cfg.TEST.DATASET)
    kind = {build_dense_sampler: "dense", build_sparse_sampler: "sparse"}.get(entry.build_sampler, "of its own")
    sampling: dict[str, object] = {"kind": kind, "dataset": cfg.TEST.DATASET}
    if kind == "dense":
        sampling |= {"stride": cfg.DATA.SAMPLING_RATE, "has_offset_views": cfg.DATA.USE_OFFSET_SAMPLING}
    if cfg.DATA.STH_VIDEO_FPS and build_resampled_opener in (entry.build_opener, entry.build_video_opener):
        sampling["fps"] = cfg.DATA.STH_VIDEO_FPS
    return sampling
