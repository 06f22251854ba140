"""Random colours and geometry, one draw a clip: RandAugment (arXiv 1909.13719) in timm's notation, or colour jitter."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from slowfast.datasets.transforms.clip_operations import Operation, Region, apply_operations
from slowfast.errors import UserError

# The scale of magnitudes, and their upper bound where the policy names none.
FULL_MAGNITUDE = 10.0


def _from_neutral(level: float, sign: int) -> float:
    return max(0.1, 1.0 + sign * (level * 0.9))


def _across_neutral(level: float, sign: int) -> float:
    return level * 1.8 + 0.1


# (level = magnitude / 10, sign = -1 or 1) to the argument of an operation.
_STEADY: dict[str, Callable[[float, int], float]] = {
    "AutoContrast": lambda level, sign: 0.0,
    "Equalize": lambda level, sign: 0.0,
    "Invert": lambda level, sign: 0.0,
    "Rotate": lambda level, sign: sign * (level * 30.0),  # degrees
    "Posterize": lambda level, sign: int(level * 4),  # bits kept
    "Solarize": lambda level, sign: min(256, int(level * 256)),  # threshold
    "SolarizeAdd": lambda level, sign: min(128, int(level * 110)),
    "Color": _across_neutral,
    "Contrast": _across_neutral,
    "Brightness": _across_neutral,
    "Sharpness": _across_neutral,
    "ShearX": lambda level, sign: sign * (level * 0.3),
    "ShearY": lambda level, sign: sign * (level * 0.3),
    "TranslateX": lambda level, sign: sign * (level * 0.45),  # share of the width
    "TranslateY": lambda level, sign: sign * (level * 0.45),  # share of the height
}
# The same operations (inc1), all of them stronger with the level.
_INCREASING = _STEADY | {
    "Posterize": lambda level, sign: 4 - int(level * 4),
    "Solarize": lambda level, sign: 256 - min(256, int(level * 256)),
    "Color": _from_neutral,
    "Contrast": _from_neutral,
    "Brightness": _from_neutral,
    "Sharpness": _from_neutral,
}
_INTERPOLATIONS = {
    "bicubic": (Image.Resampling.BICUBIC,),
    "bilinear": (Image.Resampling.BILINEAR,),
    "random": (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC),
}
_POLICY_EXAMPLE = "rand-m7-n4-mstd0.5-inc1"


def _parse_policy(policy: str) -> dict[str, float]:
    """``rand-m7-n4`` to {"m": 7, "n": 4}."""
    defaults = {"m": 10, "n": 2, "p": 0.5, "mstd": 0.0, "mmax": 0, "inc": 0}
    kind, *sections = policy.split("-")
    names = [section.rstrip("0123456789.") for section in sections]
    try:
        given = {name: type(defaults[name])(text[len(name) :]) for name, text in zip(names, sections, strict=True)}
        is_valid = kind == "rand" and given.get("p", 0) <= 1 and given.get("inc", 0) <= 1
    except (KeyError, ValueError):
        is_valid = False
    if not is_valid:
        raise UserError(
            f"AUG.AA_TYPE {policy!r} is no RandAugment policy; accepted: {_POLICY_EXAMPLE} and the like, that is rand "
            f"and any of m, n, mmax (whole numbers), mstd (a number), p (in [0, 1]) and inc (0 or 1); '' for none"
        )
    return defaults | given


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """A few operations drawn from fifteen, the same for all frames of a clip.

    Args:
        num_operations: operations drawn, with replacement.
        prob: probability that a drawn operation is applied.
        magnitude: strength; 10 is the full scale.
        magnitude_std: standard deviation of the strength; above 100 it is uniform in [0, ``magnitude``] instead.
        max_magnitude: upper bound of the strength.
        is_increasing: all operations get stronger with the magnitude; otherwise Posterize and Solarize get weaker, and
            what changes colours leaves them alone at magnitude 5.
        interpolation: bicubic, bilinear, or random (one of the two an operation).
    """

    num_operations: int
    prob: float
    magnitude: float
    magnitude_std: float
    max_magnitude: float
    is_increasing: bool
    interpolation: str

    @classmethod
    def from_policy(cls, policy: str, interpolation: str) -> "RandAugment":
        """Read timm's notation: sections m (magnitude), n (operations), p, mstd, mmax and inc, in any order.

        Raises:
            UserError: naming ``AUG.AA_TYPE`` or ``AUG.INTERPOLATION`` if it is not one of those.
        """
        if interpolation not in _INTERPOLATIONS:
            raise UserError(f"AUG.INTERPOLATION {interpolation!r} is none of {', '.join(_INTERPOLATIONS)}")
        values = _parse_policy(policy)
        return cls(
            num_operations=int(values["n"]),
            prob=values["p"],
            magnitude=values["m"],
            magnitude_std=values["mstd"],
            max_magnitude=values["mmax"] or FULL_MAGNITUDE,
            is_increasing=bool(values["inc"]),
            interpolation=interpolation,
        )

    def draw(self, rng: np.random.Generator) -> list[Operation]:
        """The operations of one clip, in order."""
        arguments = _INCREASING if self.is_increasing else _STEADY
        resamples = _INTERPOLATIONS[self.interpolation]
        operations = []
        for name in rng.choice(list(arguments), self.num_operations):
            if rng.random() < self.prob:
                argument = arguments[name](self._draw_level(rng), 1 if rng.random() < 0.5 else -1)
                operations.append(Operation(str(name), argument, resamples[rng.integers(len(resamples))]))
        return operations

    def _draw_level(self, rng: np.random.Generator) -> float:
        magnitude = self.magnitude
        if self.magnitude_std > 100:
            magnitude = rng.uniform(0, magnitude)
        elif self.magnitude_std > 0:
            magnitude = rng.normal(magnitude, self.magnitude_std)
        return min(max(magnitude, 0.0), self.max_magnitude) / FULL_MAGNITUDE


@dataclass(frozen=True, kw_only=True)
class ColorJitter:
    """Brightness, contrast and saturation by random factors, in random order, the same for all frames of a clip.

    Args:
        strength: each factor is uniform in [max(0, 1 - strength), 1 + strength].
    """

    strength: float

    def draw(self, rng: np.random.Generator) -> list[Operation]:
        """The operations of one clip, in order."""
        low = max(0.0, 1.0 - self.strength)
        names = rng.permutation(["Brightness", "Contrast", "Color"])
        return [Operation(str(name), rng.uniform(low, 1.0 + self.strength)) for name in names]


def augment(
    frames: Tensor, policy: RandAugment | ColorJitter, box: tuple[int, int, int, int], rng: np.random.Generator
) -> Tensor:
    """Augment whole frames and cut a box out of them.

    Args:
        frames: uint8 (T, C, H, W), fastest in channels-last memory; left as they are.
        policy: draws the operations.
        box: (y, x, height, width) to cut out of the result.
        rng: source of the draws.

    Returns:
        uint8 (T, C, height, width).
    """
    clip = apply_operations(frames.permute(0, 2, 3, 1).numpy(), policy.draw(rng), Region(*box))
    return torch.from_numpy(clip).permute(0, 3, 1, 2)
