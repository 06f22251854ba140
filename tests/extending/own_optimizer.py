"""Adam with Nesterov's momentum."""

import torch

from slowfast.solver.optimizer import OPTIMIZER_REGISTRY


# SOLVER.OPTIMIZING_METHOD nadam
@OPTIMIZER_REGISTRY.register(name="nadam")
def build_nadam(cfg, groups):
    return torch.optim.NAdam(groups, lr=cfg.SOLVER.BASE_LR)
