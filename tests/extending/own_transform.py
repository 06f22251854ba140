"""Some training clips lose their colours."""

from dataclasses import dataclass

from slowfast.datasets.transforms.registry import TRANSFORM_REGISTRY


# AUG.ENABLE True AUG.EXTRA_TRANSFORMS "[grey]"
@TRANSFORM_REGISTRY.register(name="grey")
@dataclass(frozen=True)
class Grey:
    prob: float

    @classmethod
    def from_config(cls, cfg):
        return cls(prob=cfg.AUG.RE_PROB)  # or a key of your own

    def __call__(self, frames, rng):  # uint8 (T, C, H, W); draws come from rng alone
        if rng.random() >= self.prob:
            return frames
        return frames.float().mean(dim=1, keepdim=True).to(frames.dtype).expand_as(frames)
