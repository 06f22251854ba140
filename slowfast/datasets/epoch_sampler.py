"""Which samples a process sees in an epoch."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from slowfast.datasets.balanced_order import BalancedOrder, times_before
from slowfast.datasets.records import SampleKey


class EpochSampler(Sampler[SampleKey]):
    """Shares the videos of an epoch out among the processes; keys carry the epoch to the workers.

    Training shuffles by (seed, epoch) and drops the remainder that does not fill a step on every process, so that all
    processes take the same number of steps. Evaluation keeps the order and every video exactly once, padding nothing:
    some processes may have one video more than others.

    Args:
        num_videos: length of the list.
        rank, world_size: this process among all.
        step_size: videos per step on this process; only training uses it.
        is_train: shuffle and drop the remainder.
        seed: of the shuffle.
        balance: in place of the shuffle, an order of training in which videos come several times or not at all.
    """

    def __init__(
        self,
        num_videos: int,
        *,
        rank: int,
        world_size: int,
        step_size: int,
        is_train: bool,
        seed: int,
        balance: BalancedOrder | None = None,
    ) -> None:
        self.num_videos = num_videos
        self.rank = rank
        self.world_size = world_size
        self.is_train = is_train
        self.seed = seed
        self.balance = balance
        self.epoch = self.num_done = 0
        self.videos_per_step = step_size * world_size
        self.num_used = num_videos // self.videos_per_step * self.videos_per_step if is_train else num_videos

    @property
    def num_steps(self) -> int:
        """Steps of an epoch of training."""
        return self.num_used // self.videos_per_step

    def set_epoch(self, epoch: int, *, num_steps_done: int = 0) -> None:
        """Choose the epoch of the next iteration, and how many of its steps are left out because they are done."""
        self.epoch = epoch
        self.num_done = num_steps_done * self.videos_per_step

    def __iter__(self) -> Iterator[SampleKey]:
        order, draws = np.arange(self.num_videos), np.zeros(self.num_videos, dtype=np.int64)
        if self.balance is not None:
            order = self.balance(self.epoch)
            draws = times_before(order)
        elif self.is_train:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.num_videos)
        own = slice(self.num_done + self.rank, self.num_used, self.world_size)
        for video_idx, draw in zip(order[own], draws[own], strict=True):
            yield SampleKey(self.epoch, int(video_idx), int(draw))

    def __len__(self) -> int:
        return len(range(self.num_done + self.rank, self.num_used, self.world_size))
