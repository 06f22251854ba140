"""Focal loss (arXiv 1708.02002) with gamma 2, for single labels and for those that mixup mixes."""

import torch.nn.functional as F

from slowfast.solver.loss import LOSS_REGISTRY


# MODEL.LOSS_FUNC focal, with and without MIXUP.ENABLE
@LOSS_REGISTRY.register(name="focal", targets=("class", "mixed"))
def focal_loss(logits, targets):
    log_probabilities = F.log_softmax(logits.float(), dim=1)  # (N, K)
    if targets.ndim == 1:
        targets = F.one_hot(targets, logits.shape[1])
    weights = targets * (1 - log_probabilities.exp()) ** 2
    return -(weights * log_probabilities).sum(dim=1).mean()
