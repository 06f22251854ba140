"""Which samples a process sees in an epoch."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from slowfast.datasets.records import SampleKey


class EpochSampler(Sampler[SampleKey]):
    """Shares the videos of an epoch out among the processes; keys carry the epoch to the workers.

    Training shuffles by (seed, epoch) and drops the remainder that does not fill a batch on every process, so that all
    processes take the same number of steps. Evaluation keeps the order and every video exactly once, padding nothing:
    some processes may have one video more than others.

    Args:
        num_videos: length of the list.
        rank, world_size: this process among all.
        batch_size: videos a batch on this process.
        is_train: shuffle and drop the remainder.
        seed: of the shuffle.
    """

    def __init__(
        self, num_videos: int, *, rank: int, world_size: int, batch_size: int, is_train: bool, seed: int
    ) -> None:
        self.num_videos = num_videos
        self.rank = rank
        self.world_size = world_size
        self.is_train = is_train
        self.seed = seed
        self.epoch = 0
        step = batch_size * world_size
        self.num_used = num_videos // step * step if is_train else num_videos

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[SampleKey]:
        order = np.arange(self.num_videos)
        if self.is_train:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.num_videos)
        for video_idx in order[self.rank : self.num_used : self.world_size]:
            yield SampleKey(self.epoch, int(video_idx))

    def __len__(self) -> int:
        return len(range(self.rank, self.num_used, self.world_size))
