"""Temporal probes: a test's clips with their frames in other orders, to see what the order of time is worth to a model.

A model that scores shuffled frames as well as ordered ones looks at what is there, not at what happens.
"""

import math
import random
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

PROBES = ("shuffled", "reversed", "frozen", "half_rate")
NUM_SHUFFLES = 5
_SEED = 0


def orders_of_probes(probes: Sequence[str], num_frames: int) -> dict[str, list[int]]:
    """Which sampled frame a probe shows at each place of a clip; the same for every video.

    ``shuffled_1`` to ``shuffled_5`` are permutations, none of them the usual order and no two the same; short clips
    have fewer. ``reversed`` is the last frame first. ``frozen_first``, ``frozen_middle`` and ``frozen_last`` show one
    frame all the time. ``half_rate`` shows every second frame, each twice.

    Args:
        probes: of ``PROBES``, or "all".
        num_frames: of a clip (T), at least 2: one frame has no order.

    Returns:
        T indices in [0, T) for each name.
    """
    orders: dict[str, list[int]] = {}
    for probe in PROBES if "all" in probes else [probe for probe in PROBES if probe in probes]:
        orders |= _ORDERS[probe](num_frames)
    return orders


def shuffles(num_frames: int) -> list[list[int]]:
    """``NUM_SHUFFLES`` different permutations of T frames beside the identity, or all there are; always the same."""
    rng, found = random.Random(_SEED), [[*range(num_frames)]]
    num_wanted = min(NUM_SHUFFLES + 1, math.factorial(num_frames))
    while len(found) < num_wanted:
        order = rng.sample(range(num_frames), num_frames)
        if order not in found:
            found.append(order)
    return found[1:]


_ORDERS: dict[str, Callable[[int], dict[str, list[int]]]] = {
    "shuffled": lambda t: {f"shuffled_{number}": order for number, order in enumerate(shuffles(t), 1)},
    "reversed": lambda t: {"reversed": [*reversed(range(t))]},
    "frozen": lambda t: {"frozen_first": [0] * t, "frozen_middle": [t // 2] * t, "frozen_last": [t - 1] * t},
    "half_rate": lambda t: {"half_rate": [place - place % 2 for place in range(t)]},
}


def logits_in_orders(compute: Callable[[Tensor], Tensor], orders: Iterable[Sequence[int]], clips: Tensor) -> Tensor:
    """What a model makes of clips as they are, and of the same clips with their frames in other orders.

    Args:
        compute: from clips (N, C, T, H, W) to logits (N, K).
        orders: P lists of T indices.
        clips: (N, C, T, H, W).

    Returns:
        (N, 1 + P, K); the first of each row is of the clip as it is.
    """
    logits = [compute(clips)]
    for order in orders:
        logits.append(compute(clips.index_select(2, torch.tensor(order, device=clips.device))))
    return torch.stack(logits, dim=1)
