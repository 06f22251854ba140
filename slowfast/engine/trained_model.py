"""A model with the weights that a test scores with."""

import logging

import torch
from fvcore.common.config import CfgNode
from torch import nn

from slowfast.datasets import build_class_names
from slowfast.datasets.catalog import DATASET_REGISTRY
from slowfast.engine.checkpoint import head_rules, translate_together
from slowfast.engine.resume import check_channel_order
from slowfast.models import build_model
from slowfast.models.weights.load import apply_translation
from slowfast.models.weights.report import WeightsReport
from slowfast.runtime import distributed

logger = logging.getLogger(__name__)


def load_trained_model(cfg: CfgNode, source: str, device: torch.device) -> tuple[nn.Module, WeightsReport]:
    """The model of a config with the weights to score with, a row for every class among them; all processes call this.

    Args:
        cfg: the whole config; with ``TEST.USE_EMA`` the weights are a checkpoint's EMA.
        source: a file, an address or ``timm:<model>``.
        device: where the model goes.

    Returns:
        The model and what was done with the weights.

    Raises:
        UserError: if the weights cannot be had, are damaged, do not fit, or were trained on another order of channels.
    """
    model = build_model(cfg)
    rules = head_rules(cfg, build_class_names(cfg), is_test=True)
    translation = translate_together(source, is_ema=cfg.TEST.USE_EMA)
    check_channel_order(translation.config, cfg, source)
    if translation.origin == "authors":
        _warn_of_another_order(cfg, source)
    report = apply_translation(model, translation, source, rules)
    return model.to(device), report


def _warn_of_another_order(cfg: CfgNode, source: str) -> None:
    """Warn if the authors' weights were trained on other colour channels than are read; they do not tell it."""
    name, ours = cfg.TEST.DATASET, cfg.DATA.CHANNEL_ORDER
    published = DATASET_REGISTRY.find("TEST.DATASET", name).published_order
    if published not in ("", ours) and distributed.is_main():
        logger.warning(
            "%s: the authors' weights for %s were trained on channels in the order %s, and DATA.CHANNEL_ORDER is %s",
            *(source, name, published, ours),
        )
