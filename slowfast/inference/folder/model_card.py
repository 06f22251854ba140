"""The README.md of a model folder."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from slowfast.datasets.catalog import DATASET_REGISTRY, build_dense_sampler
from slowfast.inference.classifier import VideoClassifier
from slowfast.inference.folder.proof import TOLERANCE, Proof

TEMPLATE = "model_card.md.j2"
# Of the classes so many are named; config.json has all.
MAX_NAMED = 8


def model_card(classifier: VideoClassifier, config: Mapping[str, Any], proof: Proof) -> str:
    """Markdown: what the model is, how to use it, how it was trained and measured, and what its proof holds.

    Args:
        classifier: the model.
        config: content of its config.json.
        proof: of the folder.
    """
    cfg, names = classifier.cfg, classifier.class_names
    is_dense = DATASET_REGISTRY.find("TEST.DATASET", cfg.TEST.DATASET).build_sampler is build_dense_sampler
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # Markdown, which is no HTML
    environment.filters["cell"] = _cell
    return environment.from_string(read_template()).render(
        architecture=config["architecture"],
        num_classes=cfg.MODEL.NUM_CLASSES,
        classes="not known" if names is None else ", ".join(names[:MAX_NAMED] + ["..."] * (len(names) > MAX_NAMED)),
        class_note=classifier.class_note,
        num_frames=cfg.DATA.NUM_FRAMES,
        sampling=(
            f"of every {cfg.DATA.SAMPLING_RATE} frames of the video one"
            if is_dense
            else "one of each of as many equal parts of the video"
        ),
        size_px=cfg.DATA.TEST_CROP_SIZE,
        channel_order=cfg.DATA.CHANNEL_ORDER.upper(),
        mean=list(cfg.DATA.MEAN),
        std=list(cfg.DATA.STD),
        views=classifier.views,
        source=config["source"],
        license=config["license"],
        versions=", ".join(f"{name} {value}" for name, value in config["versions"].items() if value),
        notes=config["notes"],
        tolerance=f"{TOLERANCE:g}",
        bfloat16_error=f"{proof.bfloat16_error:.1g}",
    )


def read_template() -> str:
    """What cards are made of."""
    return files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")


def _cell(text: str) -> str:
    """Text that stays in its cell of a table, and is no markup."""
    for mark in "\\|<`*_[":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
