"""Unreadable videos of training: named, counted, and too many of them refused."""

import logging

from fvcore.common.config import CfgNode

from slowfast.datasets.records import Batch
from slowfast.runtime.errors import UserError

logger = logging.getLogger(__name__)


def count_replaced(cfg: CfgNode, batch: Batch, num_before: int, num_videos: int) -> int:
    """Name the unreadable videos of a batch and return how many there are.

    Args:
        cfg: DATA_LOADER.MAX_REPLACED is read, the largest share of an epoch's videos.
        batch: a training batch.
        num_before: replaced earlier in this epoch on this process.
        num_videos: of this epoch on this process.

    Raises:
        UserError: if there are too many, or one could not be replaced.
    """
    for failure in batch.replaced:
        logger.warning("%s could not be read and was replaced: %s", failure.path, failure.cause)
    if batch.failed:
        failure = batch.failed[0]
        raise UserError(
            f"{failure.path} could not be read ({failure.cause}), nor could the videos drawn in its place; "
            f"check DATA.PATH_PREFIX and the list"
        )
    count = len(batch.replaced)
    if count and num_before + count > cfg.DATA_LOADER.MAX_REPLACED * num_videos:
        failure = batch.replaced[-1]
        raise UserError(
            f"{num_before + count} of an epoch's {num_videos} videos could not be read, more than the share of "
            f"DATA_LOADER.MAX_REPLACED {cfg.DATA_LOADER.MAX_REPLACED:g}; the last is {failure.path}: {failure.cause}"
        )
    return count
