"""A test beside the published one: which published checkpoint it was of, by name, and what differs between the two.

``published.csv`` holds the results of MODEL_ZOO.md with what is known of how they were measured.
"""

import csv
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from slowfast.errors import UserError
from slowfast.evaluation.report import TestReport, TestSetting

# The class lists (DATA.CLASS_NAMES_FILE) that tell a data set, and its name (TEST.DATASET) where two share a list.
DATA_SETS: dict[str, tuple[tuple[str, ...], str]] = {
    "Kinetics-400": (("kinetics400_uniformer", "kinetics400_alphabetical"), ""),
    "Kinetics-600": (("kinetics600_uniformer", "kinetics600_alphabetical"), ""),
    "Kinetics-700": (("kinetics700_alphabetical",), ""),
    "Kinetics-710": (("kinetics710_uniformer", "kinetics710_mmaction2"), ""),
    "Moments in Time V1": (("moments_in_time_v1",), ""),
    "Something-Something V1": (("something_something_v1",), ""),
    "Something-Something V2": (("something_something_v2",), ""),
    "ActivityNet": (("activitynet200",), "anet"),
    "HACS": (("activitynet200",), "hacs"),
    "UCF101": (("ucf101",), ""),
    "HMDB51": (("hmdb51",), ""),
}
PRECISION = "float32"  # that the authors tested in
NUM_NEAREST = 3


@dataclass(frozen=True)
class PublishedResult:
    """A row of ``published.csv``.

    Attributes:
        publisher: "its authors", or MMAction2 of its port.
        data_set: a key of ``DATA_SETS``.
        model: for people.
        reads, frames, sampling, size_px, clips, crops, channel_order, combined: as in ``TestSetting``; clips and crops
            are 0 where no test was published.
        num_videos: of the list that it was measured on; None if that is not known.
        top1: percent; None where no figure was published, as of checkpoints that serve as pretraining.
        experiment: folder in exp/; "" if there is none.
        name: that the authors' code gives the file, without its ending, where the address does not tell one; else "".
        address: of the weights; "" if they were not published.
    """

    publisher: str
    data_set: str
    model: str
    reads: str
    frames: int
    sampling: str
    size_px: int
    crops: int
    clips: int
    channel_order: str
    combined: str
    num_videos: int | None
    top1: float | None
    experiment: str
    name: str
    address: str

    @property
    def names(self) -> list[str]:
        """What a file of these weights may be called, without its ending; the id in an address of Google Drive."""
        told = self.address.removesuffix("/view?usp=sharing").rpartition("/")[2]
        return [name for name in (_stem(told), self.name, self.experiment) if name]

    def unlike(self, setting: TestSetting) -> str:
        """Why a test says nothing about this result; "" if it does."""
        if self.top1 is None:
            return f"{setting.checkpoint}: was published without an accuracy, to start trainings from"
        class_lists, data_set = DATA_SETS[self.data_set]
        if setting.class_names in class_lists and data_set in ("", setting.data_set.lower()):
            return ""
        wanted = " or ".join(class_lists) + (f" with TEST.DATASET {data_set}" if data_set else "")
        return (
            f"{setting.checkpoint}: its published figure is of {self.data_set}, and this test of another data set: "
            f"DATA.CLASS_NAMES_FILE {setting.class_names!r} with TEST.DATASET {setting.data_set}; accepted: {wanted}"
        )


@cache
def load_published() -> tuple[PublishedResult, ...]:
    """All published results."""
    with Path(__file__).with_name("published.csv").open(newline="", encoding="utf-8") as file:
        return tuple(_result_of(row) for row in csv.DictReader(file))


def _result_of(row: dict[str, str]) -> PublishedResult:
    counts = {name: int(row[name] or 0) for name in ("frames", "size_px", "crops", "clips")}
    num_videos = int(row["num_videos"]) if row["num_videos"] else None
    return PublishedResult(
        **{**row, **counts, "num_videos": num_videos, "top1": float(row["top1"]) if row["top1"] else None}
    )


def find_published(source: str) -> PublishedResult | None:
    """The result that was published for a checkpoint, by the name of its file or by its address alone.

    Args:
        source: file or address, as ``TEST.CHECKPOINT_FILE_PATH`` names it.
    """
    names = set(_names_in(source))
    return next((result for result in load_published() if names & set(result.names)), None)


def verify(report: TestReport) -> str:
    """One line: the published figure, the measured one, and what differs.

    Args:
        report: of a test, with its setting.

    Raises:
        UserError: if the checkpoint is none of those published, was published without a figure, or was tested on
            another data set.
    """
    source = report.setting.checkpoint
    published = find_published(source)
    if published is None:
        known = [name for result in load_published() for name in result.names]
        stem = next(_names_in(source), "")
        nearest = ", ".join(difflib.get_close_matches(stem, known, n=NUM_NEAREST, cutoff=0.0))
        raise UserError(
            f"{source}: is no published checkpoint by its name; the nearest are {nearest}; give the file the name that "
            f"it has in MODEL_ZOO.md, or that of its experiment"
        )
    if reason := published.unlike(report.setting):
        raise UserError(reason)
    return compare(report, published)


def compare(report: TestReport, published: PublishedResult) -> str:
    """One line: the published figure, the measured one, and what differs.

    Args:
        report: of a test that this result speaks of (``PublishedResult.unlike``).
        published: with a figure.
    """
    setting = report.setting
    who = f"{published.model} on {published.data_set}, by {published.publisher}, known by name alone"
    told = f"published {published.top1:.1f}, "
    if report.scored:
        told += f"measured {report.top1:.1f} ({report.top1 - published.top1:+.1f}"
        if "top1" in report.intervals:
            told += "; 95 % of such tests: {:.1f} to {:.1f}".format(*report.intervals["top1"])
        told += ")"
    else:
        told += "measured nothing, for no video was scored"
    differs = list(_other_videos(report, published))
    pairs = list(zip(_ways(setting), _ways(published), strict=True))
    differs += [f"{ours} in place of {theirs}" for ours, theirs in pairs if ours != theirs]
    if setting.is_order_assumed:
        differs.append("class order assumed")
    same = [theirs for ours, theirs in pairs if ours == theirs]
    return (
        f"{who}: {told}; differs: {', '.join(differs) or 'nothing known'}; {', '.join(same) or 'nothing'} as published"
    )


def _other_videos(report: TestReport, published: PublishedResult) -> Iterator[str]:
    """What is not as on the published list, and which videos count less or not at all."""
    if published.num_videos is not None and report.expected < published.num_videos:
        yield f"{published.num_videos - report.expected:,} of {published.num_videos:,} videos missing"
    elif published.num_videos is not None and report.expected > published.num_videos:
        yield f"{report.expected:,} videos in place of {published.num_videos:,}"
    if report.failed:
        yield f"{report.failed:,} of {report.expected:,} unreadable"
    if report.unscored:
        yield f"{report.unscored:,} of {report.expected:,} without finite scores"
    if report.truncated:
        yield f"{report.truncated:,} truncated"


def _ways(test: TestSetting | PublishedResult) -> list[str]:
    """How a test reads and scores videos, in the words of the line; views are clips x crops."""
    precision = test.precision if isinstance(test, TestSetting) else PRECISION
    frames = f"{test.frames} frames ({test.sampling})"
    views = f"{test.clips} x {test.crops} views"
    return [views, frames, f"{test.size_px} px", test.reads, test.channel_order, test.combined, precision]


def _names_in(source: str) -> Iterator[str]:
    """What in a file's or address's name may be that of a published checkpoint: the file's comes first."""
    if source.startswith(("http://", "https://")):
        source = source.partition("#")[0]
        yield from re.findall(r"(?:/d/|[?&]id=)([\w-]+)", source)  # Google Drive's
        source = source.partition("?")[0]
    yield _stem(source.rpartition("/")[2])


def _stem(file: str) -> str:
    """A file's name without its ending; the authors write the + of "k400+k710" as _ in their addresses."""
    return re.sub(r"\.(pyth|pth|pt|safetensors)$", "", file).replace("+", "_")
