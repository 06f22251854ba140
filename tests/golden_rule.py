"""How the golden figures of tests/golden/models were made: the rule for their weights and inputs.

Each JSON file has ``config`` (flat keys), ``input_shape`` (N, C, T, H, W), ``params``, ``state_dict`` (names and shapes
in order) and ``logits`` (the row of the authors' model in float32 and eval mode). Weights and inputs are not stored:
they follow from names and shapes.
"""

import json
import math
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

GOLDEN_MODELS_DIR = Path(__file__).parent / "golden" / "models"


def load_golden(name: str) -> dict[str, Any]:
    """Read tests/golden/models/<name>.json."""
    return json.loads((GOLDEN_MODELS_DIR / f"{name}.json").read_text())


def golden_state_dict(entries: Iterable[tuple[str, Sequence[int]]]) -> dict[str, Tensor]:
    """Rebuild the weights from the (name, shape) pairs of a golden file; the name seeds each tensor."""
    return {name: _golden_tensor(name, tuple(shape)) for name, shape in entries}


def golden_input(shape: Sequence[int]) -> Tensor:
    """Rebuild the clips (N, C, T, H, W), float32."""
    return torch.from_numpy(np.random.RandomState(0).standard_normal(tuple(shape)).astype(np.float32))


def relative_l2(actual: Tensor, expected: Tensor) -> float:
    """L2 norm of the difference / L2 norm of ``expected``, of the flattened tensors, in float64."""
    actual, expected = actual.detach().double().flatten(), expected.detach().double().flatten()
    return ((actual - expected).norm() / expected.norm()).item()


def _golden_tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    z = torch.from_numpy(np.asarray(rng.standard_normal(shape), dtype=np.float32))
    if name.endswith("running_var"):
        return 0.5 + z.abs()
    if len(shape) <= 1:
        return 1 + 0.1 * z if name.endswith("weight") else 0.1 * z
    return z / math.sqrt(math.prod(shape[1:]))
