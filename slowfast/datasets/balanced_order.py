"""An epoch in which all classes come equally often, by index arithmetic: no state but the seed and the epoch."""

from typing import NamedTuple

import numpy as np


class BalancedEpoch(NamedTuple):
    """What an epoch shows.

    Attributes:
        num_classes: that have videos.
        draws: fewest and most videos drawn of a class, each time that one comes.
        videos: fewest and most different videos, of all classes.
        most_often: times that a video comes at most.
    """

    num_classes: int
    draws: tuple[int, int]
    videos: tuple[int, int]
    most_often: int


class BalancedOrder:
    """Class-balanced sampling (arXiv 1910.09217, section 3): every class is drawn equally often, whatever its size.

    An epoch has as many draws as the list has videos. They come in rounds, each with every class once, in a random
    order; the first m draws, for any m, therefore have classes whose numbers differ by one at most. A class takes its
    videos from a walk through random permutations of them:

    - a small one walks through as many as an epoch needs, so that its videos come equally often, up to one;
    - a large one walks on through the same permutation in the next epochs, as long as a whole epoch's draws are left of
      it, so that no video comes again before.

    Args:
        labels: int64 (N,), the class of each video; classes without videos are left out.
        seed: of all draws.
    """

    def __init__(self, labels: np.ndarray, *, seed: int) -> None:
        _, self.counts = np.unique(labels, return_counts=True)  # (K,)
        self.num_rounds = -(-len(labels) // len(self.counts))
        self._num_videos = len(labels)
        self._seed = seed
        self._videos_of = np.split(np.argsort(labels, kind="stable"), self.counts.cumsum()[:-1])

    def __call__(self, epoch: int) -> np.ndarray:
        """int64 (N,): the videos of an epoch, in their order."""
        num_classes = len(self.counts)
        # The last word keeps these generators apart from each other, and from those of samples and batches.
        rng = np.random.default_rng((self._seed, epoch, 0, 0, 2))
        class_at = rng.permuted(np.tile(np.arange(num_classes), (self.num_rounds, 1)), axis=1)  # (rounds, K)
        drawn = np.stack([self._walk(number, epoch) for number in range(num_classes)])  # (K, rounds)
        return drawn[class_at, np.arange(self.num_rounds)[:, None]].ravel()[: self._num_videos]

    def _walk(self, number: int, epoch: int) -> np.ndarray:
        """int64 (rounds,): the videos of a class, as an epoch takes them."""
        videos = self._videos_of[number]
        num_epochs = max(len(videos) // self.num_rounds, 1)  # that share a permutation
        num_permutations = -(-self.num_rounds // len(videos))  # that an epoch takes
        part, turn = divmod(epoch, num_epochs)
        rng = np.random.default_rng((self._seed, part, number, 0, 3))
        walk = rng.permuted(np.tile(videos, (num_permutations, 1)), axis=1).ravel()
        return walk[turn * self.num_rounds : (turn + 1) * self.num_rounds]

    def describe(self, num_used: int) -> BalancedEpoch:
        """What the first ``num_used`` draws of any epoch show."""
        fewest, num_more = divmod(num_used, len(self.counts))  # so many classes come once more than the others
        most = fewest + (num_more > 0)
        num_larger = int((self.counts > fewest).sum())  # in which that is another video
        videos = int(np.minimum(self.counts, fewest).sum())
        return BalancedEpoch(
            num_classes=len(self.counts),
            draws=(fewest, most),
            videos=(videos + max(num_more + num_larger - len(self.counts), 0), videos + min(num_more, num_larger)),
            most_often=-(-most // int(self.counts.min())),
        )


def times_before(values: np.ndarray) -> np.ndarray:
    """int64 (N,): how often each of the values (N,) stands before its place."""
    order = np.argsort(values, kind="stable")
    places = np.arange(len(values))
    is_first = np.r_[True, values[order][1:] != values[order][:-1]][: len(values)]
    result = np.empty(len(values), dtype=np.int64)
    result[order] = places - np.maximum.accumulate(np.where(is_first, places, 0))
    return result
