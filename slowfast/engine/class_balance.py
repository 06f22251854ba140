"""Classes of very different size in the training list: how they are weighted, drawn and told of."""

import logging
from collections.abc import Sequence

import numpy as np
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.config.choices import WEIGHTED_LOSSES
from slowfast.datasets.class_counts import class_counts
from slowfast.datasets.clip_dataset import TrainClipDataset
from slowfast.datasets.epoch_sampler import EpochSampler
from slowfast.solver.class_weights import build_class_weights

logger = logging.getLogger(__name__)

# Times as many videos as the smallest class has, from which on the largest one is told of.
MOST_TIMES = 10


def class_weights_of(cfg: CfgNode, dataset: TrainClipDataset) -> Tensor | None:
    """``MODEL.CLASS_WEIGHTS`` for a training set: float32 (K,), or None.

    Raises:
        UserError: if it names a file that does not hold the weights.
    """
    return build_class_weights(cfg, class_counts(dataset.records, cfg.MODEL.NUM_CLASSES), len(dataset))


def log_classes(
    cfg: CfgNode, dataset: TrainClipDataset, sampler: EpochSampler, class_names: Sequence[str] | None
) -> None:
    """Say what weights and balanced sampling come to, and which classes have no videos; warn of rare ones."""
    counts = class_counts(dataset.records, cfg.MODEL.NUM_CLASSES)
    if num_empty := int((counts == 0).sum()):
        first = _name(int(np.flatnonzero(counts == 0)[0]), class_names)
        logger.info("%d of %d classes have no training videos, such as %s", num_empty, len(counts), first)
    weights = class_weights_of(cfg, dataset)
    if weights is not None:
        logger.info(
            "MODEL.CLASS_WEIGHTS %s: weights from %.3g to %.3g, %.3g on average over the labels of the training videos",
            *(cfg.MODEL.CLASS_WEIGHTS, weights.min(), weights.max(), np.average(weights.numpy(), weights=counts)),
        )
    if sampler.balance is not None:
        epoch = sampler.balance.describe(sampler.num_used)
        logger.info(
            "TRAIN.CLASS_SAMPLING balanced: an epoch draws %s videos of each of %d classes, %s different ones of %d; a "
            "video comes up to %d times",
            *(_span(epoch.draws), epoch.num_classes, _span(epoch.videos), sampler.num_videos, epoch.most_often),
        )
    warning = imbalance_warning(cfg, counts, class_names)
    if warning is not None:
        logger.warning("%s", warning)


def imbalance_warning(cfg: CfgNode, counts: np.ndarray, class_names: Sequence[str] | None) -> str | None:
    """One line on the largest and the smallest class, if they differ by more than ``MOST_TIMES``, and nothing is done.

    Args:
        cfg: the whole config.
        counts: int (K,), videos of each class; those without any are left out.
        class_names: in the order of the labels, or None.
    """
    if cfg.MODEL.CLASS_WEIGHTS or cfg.TRAIN.CLASS_SAMPLING != "uniform" or not counts.any():
        return None
    largest, smallest = int(counts.argmax()), int(np.where(counts > 0, counts, counts.max() + 1).argmin())
    if counts[largest] <= MOST_TIMES * counts[smallest]:
        return None
    remedies = []
    if not cfg.DATA.MULTI_LABEL:
        remedies.append("TRAIN.CLASS_SAMPLING balanced draws all classes equally often")
    if cfg.MODEL.LOSS_FUNC in WEIGHTED_LOSSES:
        remedies.append("MODEL.CLASS_WEIGHTS balanced lets them count alike in the loss")
    told = (
        f"the training list has {counts[largest]} videos of {_name(largest, class_names)} and {counts[smallest]} of "
        f"{_name(smallest, class_names)}, {counts[largest] / counts[smallest]:.0f} times as many; rare classes may be "
        f"learned badly"
    )
    return f"{told}: {', '.join(remedies)}" if remedies else told


def _name(label: int, class_names: Sequence[str] | None) -> str:
    return f"class {label}" if class_names is None else f"class {label} ({class_names[label]})"


def _span(numbers: tuple[int, int]) -> str:
    return str(numbers[0]) if numbers[0] == numbers[1] else f"{numbers[0]} to {numbers[1]}"
