"""Bringing the videos of several tests into one order, by their paths."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from slowfast.errors import UserError
from slowfast.evaluation.classes import class_name
from slowfast.evaluation.report_files import ScoredVideos

# A path, and the how manieth of that path it is: lists may name a video several times.
_Key = tuple[str, int]


@dataclass(frozen=True)
class Aligned:
    """The same videos of several tests.

    Attributes:
        videos: of each test, in the order of the first one, with the class names that any of them knows.
        num_left_out: of each test, the videos that are not in all of them.
    """

    videos: Sequence[ScoredVideos]
    num_left_out: Sequence[int]


def align(names: Sequence[str], tests: Sequence[ScoredVideos], *, in_common: bool = False) -> Aligned:
    """Bring the videos of all tests into the order of the first one.

    A path that is several times in a list: the first in one test is the first in the other.

    Args:
        names: of the tests, for errors.
        tests: at least one.
        in_common: leave out the videos that are not in all of them; otherwise they are a mistake. Of a path that is
            not in all of them as many times, none counts.

    Raises:
        UserError: for a test without videos, and for other classes, videos or labels.
    """
    for name, test in zip(names, tests, strict=True):
        if not test.paths:
            raise UserError(f"{name}: has no scored video")
    class_names = shared_classes(names, tests)
    keys = [_keys(test.paths) for test in tests]
    shared = _shared_keys(keys)
    if not in_common:
        _refuse_other_videos(names, keys)
    if not shared:
        raise UserError(f"{names[0]}: has no scored video that is in {' and in '.join(names[1:])}, too")
    chosen = [key for key in keys[0] if key in shared]
    aligned = [_rows(test, index, chosen, class_names) for test, index in zip(tests, keys, strict=True)]
    for name, test in zip(names[1:], aligned[1:], strict=True):
        _refuse_other_labels((names[0], name), (aligned[0], test))
    return Aligned(aligned, [len(index) - len(chosen) for index in keys])


def _keys(paths: Sequence[str]) -> dict[_Key, int]:
    """To the rows of the test."""
    seen: Counter[str] = Counter()
    keys = {}
    for row, path in enumerate(paths):
        keys[path, seen[path]] = row
        seen[path] += 1
    return keys


def _shared_keys(keys: Sequence[dict[_Key, int]]) -> set[_Key]:
    counts = [Counter(path for path, _ in index) for index in keys]
    return {key for key in keys[0] if len({count[key[0]] for count in counts}) == 1}


def _rows(test: ScoredVideos, index: dict[_Key, int], chosen: Sequence[_Key], names: list[str] | None) -> ScoredVideos:
    rows = torch.tensor([index[key] for key in chosen])
    parts = (part[rows] for part in (test.labels, test.scores, test.probabilities))
    return ScoredVideos([path for path, _ in chosen], *parts, names)


def shared_classes(names: Sequence[str], tests: Sequence[ScoredVideos]) -> list[str] | None:
    """The names of the classes of all tests; a number in place of a name, which nobody knew, agrees with all names.

    Raises:
        UserError: for other numbers or names of classes, and one label per video in one, several in another.
    """
    first, told = tests[0], list(tests[0].class_names or ())
    for name, test in zip(names[1:], tests[1:], strict=True):
        if test.scores.shape[-1] != first.scores.shape[-1]:
            raise UserError(
                f"{name}: has {test.scores.shape[-1]} classes, and {names[0]} {first.scores.shape[-1]}; "
                f"they have to be the same"
            )
        if test.labels.ndim != first.labels.ndim:
            single, several = (name, names[0]) if test.labels.ndim == 1 else (names[0], name)
            raise UserError(f"{single}: has one label per video, and {several} several; they have to be the same")
        told = told or list(test.class_names or ())
        for label, other in enumerate(test.class_names or ()):
            if class_name(None, label) in (other, told[label]):
                told[label] = other if told[label] == class_name(None, label) else told[label]
            elif other != told[label]:
                raise UserError(
                    f"{name}: class {label} is {other!r}, and {told[label]!r} in {names[0]}; they have to be the same "
                    f"(DATA.CLASS_NAMES_FILE)"
                )
    return told or None


def _refuse_other_videos(names: Sequence[str], keys: Sequence[dict[_Key, int]]) -> None:
    for name, index in zip(names[1:], keys[1:], strict=True):
        only = [key[0] for key in keys[0] if key not in index], [key[0] for key in index if key not in keys[0]]
        told = [
            f"{len(paths)} only in {where} (such as {paths[0]})"
            for where, paths in zip((names[0], name), only, strict=True)
            if paths
        ]
        if told:
            raise UserError(
                f"{name}: its scored videos are not those of {names[0]}: {', '.join(told)}; the lists have to be the "
                f"same, with the same paths"
            )


def _refuse_other_labels(names: tuple[str, str], tests: tuple[ScoredVideos, ScoredVideos]) -> None:
    one, other = (test.labels > 0 if test.labels.ndim == 2 else test.labels for test in tests)
    differ = (one != other).reshape(len(one), -1).any(dim=1).nonzero()[:, 0].tolist()
    if differ:
        labels = [told_labels(test, differ[0]) for test in tests]
        raise UserError(
            f"{names[1]}: {len(differ)} of its videos have other labels than in {names[0]}, such as "
            f"{tests[0].paths[differ[0]]}: {labels[1]}, and {labels[0]} there; the lists have to be the same"
        )


def told_labels(videos: ScoredVideos, row: int) -> str:
    """The names of the classes that a video shows."""
    label = videos.labels[row]
    shown = [int(label)] if label.ndim == 0 else label.nonzero()[:, 0].tolist()
    return ", ".join(class_name(videos.class_names, idx) for idx in shown) or "no class"
