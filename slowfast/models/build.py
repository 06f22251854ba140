"""From a config to a model."""

from fvcore.common.config import CfgNode

from slowfast.errors import UserError
from slowfast.models.registry import MODEL_REGISTRY, VideoModel


def build_model(cfg: CfgNode) -> VideoModel:
    """Build the model that ``MODEL.MODEL_NAME`` names, on the CPU, initialised at random.

    No file is read: loading weights is a step of its own (``slowfast.models.weights.load``).

    Args:
        cfg: the whole config.

    Returns:
        A module that takes float clips (N, C, T, H, W) and returns logits (N, K), K = ``MODEL.NUM_CLASSES``.

    Raises:
        UserError: if no model has that name, or its classifiers are not where it says, or of other classes.
    """
    model = MODEL_REGISTRY.build(cfg, "MODEL.MODEL_NAME", cfg.MODEL.MODEL_NAME)
    _check_classifiers(model, cfg.MODEL.NUM_CLASSES)
    return model


def _check_classifiers(model: VideoModel, num_classes: int) -> None:
    """Whether a model from outside keeps the part of the contract that would go wrong late, or without a word."""
    modules, kind = dict(model.named_modules()), type(model).__name__
    for name in model.classifier_names:
        if name not in modules:
            raise UserError(f"{kind} has no module {name!r}; its classifier_names name the layers that put out logits")
        num_logits = getattr(modules[name], "out_features", num_classes)
        if num_logits != num_classes:
            raise UserError(f"{name} of {kind} puts out {num_logits} logits, but MODEL.NUM_CLASSES is {num_classes}")
