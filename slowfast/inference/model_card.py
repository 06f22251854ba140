"""The README.md of a model folder."""

from collections.abc import Mapping
from typing import Any

from slowfast.datasets.catalog import DATASET_REGISTRY, build_dense_sampler
from slowfast.inference.classifier import VideoClassifier
from slowfast.inference.proof import TOLERANCE, Proof


def model_card(classifier: VideoClassifier, config: Mapping[str, Any], proof: Proof, notes: Mapping[str, Any]) -> str:
    """Markdown: what the model is, how to use it, how it was trained and measured, and what its proof holds.

    Args:
        classifier: the model.
        config: content of its config.json.
        proof: of the folder.
        notes: heading -> text or value, put below "How it was made".
    """
    cfg, names = classifier.cfg, classifier.class_names
    num_clips, num_crops = classifier.views
    is_dense = DATASET_REGISTRY.find("TEST.DATASET", cfg.TEST.DATASET).build_sampler is build_dense_sampler
    sampling = (
        f"of every {cfg.DATA.SAMPLING_RATE} frames of the video one"
        if is_dense
        else "one of each of as many equal parts of the video"
    )
    size, order = cfg.DATA.TEST_CROP_SIZE, cfg.DATA.CHANNEL_ORDER.upper()
    shown = "not known" if names is None else ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    lines = [
        f"# {config['architecture']}, {cfg.MODEL.NUM_CLASSES} classes",
        "",
        "A video classifier, written by `uniformer publish`.",
        "",
        "```python",
        "import slowfast",
        "",
        'model = slowfast.load_model("this folder")',
        'print(model.predict("video.mp4"))',
        "```",
        "",
        "| | |",
        "|---|---|",
        f"| classes | {shown} |",
        *([f"| about the classes | {classifier.class_note} |"] if classifier.class_note else []),
        f"| frames | {cfg.DATA.NUM_FRAMES}: {sampling} |",
        f"| pixels | short side to {size}, square crops, {order}, mean {list(cfg.DATA.MEAN)}, "
        f"standard deviation {list(cfg.DATA.STD)} |",
        f"| views of a test | {num_clips} clips x {num_crops} crops |",
        f"| weights from | {config['source']} |",
        f"| licence | {config['license'] or 'not stated'} |",
        f"| versions | {', '.join(f'{name} {value}' for name, value in config['versions'].items() if value)} |",
        "",
        "## How it was made",
        "",
        *([f"- {name}: {value}" for name, value in notes.items()] or ["Nothing was noted."]),
        "",
        "## Proof",
        "",
        "Loading compares the hashes of all files and tensors, then sends the video of this folder through the whole",
        "path: frames, pixels, two blocks and logits must be those of the published model, the last three to",
        f"{TOLERANCE:g} of the largest value. In bfloat16 the logits were off by {proof.bfloat16_error:.1g}.",
        "`load_model(..., verify=False)` leaves the video out.",
        "",
    ]
    return "\n".join(lines)
