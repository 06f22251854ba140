"""Kinetics-710 (UniFormerV2, arXiv 2211.09552): the training lists of Kinetics-400, -600 and -700 as one."""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from slowfast.config.coerce import short
from slowfast.datasets.labels import class_key, load_label_list
from slowfast.datasets.lists.annotations import iterate_list
from slowfast.datasets.lists.line_forms import PATH_LABEL, field_text
from slowfast.datasets.lists.text_file import read_lines
from slowfast.datasets.preparation.list_files import write_csv, write_json, write_lines
from slowfast.datasets.preparation.parallel import LostItem, map_unordered
from slowfast.errors import UserError
from slowfast.runtime.log import progress

NUM_CLASSES = 710
# <id>.mp4 or <id>_<start>_<end>.mp4; a YouTube id has 11 characters, which may be _ and - as well.
YOUTUBE_ID = re.compile(r"(?P<id>[A-Za-z0-9_-]{11})(_\d{6}_\d{6})?")

REPEATED = "same YouTube id as a row above"
RELABELLED = "same YouTube id as a row above, but another class"
LEAKED = "YouTube id is in a validation or test list"


@dataclass(frozen=True)
class Source:
    """One Kinetics.

    Attributes:
        name: k400, k600 or k700.
        train: its training list, ``path<sep>label``.
        val: its validation list, None for none.
        class_names: in the order of the lists' labels.
        prefix: put before its paths, since the merged lists name videos of all sources.
    """

    name: str
    train: Path
    val: Path | None
    class_names: Sequence[str]
    prefix: str = ""


class Row(NamedTuple):
    """A line of a list: path as the list has it, label and YouTube id."""

    path: str
    label: int
    youtube_id: str


@dataclass
class MergeSummary:
    """Rows of each source and split that were kept and dropped, by (source, split, reason); "" is the kept ones."""

    counts: Counter

    def lines(self) -> list[str]:
        """For people, one line per source and split."""
        lines = []
        for name, split in dict.fromkeys((name, split) for name, split, _ in self.counts):
            reasons = {reason: n for (*key, reason), n in self.counts.items() if key == [name, split]}
            kept = reasons.pop("", 0)
            told = "".join(f"; dropped {count}: {reason}" for reason, count in reasons.items())
            lines.append(f"{split} of {name}: {kept + sum(reasons.values())} rows, kept {kept}{told}")
        return lines


def merge(
    sources: Sequence[Source],
    out: Path,
    *,
    held_out: Sequence[Path] = (),
    classes: str = "kinetics710_uniformer",
    separator: str = ",",
    num_workers: int = 0,
) -> MergeSummary:
    """Write ``train.csv`` and ``val.csv`` (``test.csv`` is the same) of Kinetics-710, label maps and what was dropped.

    The rules, for the training rows in the order of the sources and their lists:

    1. A label becomes that of the same class among the 710, by name and the known renamings.
    2. A row whose YouTube id is in any validation list or any of ``held_out`` is dropped: other versions of Kinetics
       test on it.
    3. A row whose YouTube id a kept row above has is dropped; those with another class are counted apart.

    The validation list has the rows of all validation lists, repeats dropped by rule 3. Beside the lists:
    ``label_map_<source>.json`` (for each label of the source, the label among the 710), ``classes.txt`` and
    ``dropped.csv``.

    Args:
        sources: whose rows come first are kept first.
        out: folder to write to; each file in one piece.
        held_out: further lists of videos that must not be trained on, such as test lists; in the form of our lists
            or official CSV files with a column youtube_id.
        classes: the order of the 710 classes, a shipped list or a file.
        separator: of the lists, read and written.
        num_workers: processes that read lists; 0 reads in this one.

    Raises:
        UserError: naming file:line, for a bad list, a name without YouTube id, or a class that is not among the 710.
    """
    class_names = load_label_list(classes)
    if len(class_names) != NUM_CLASSES:
        raise UserError(f"{classes}: has {len(class_names)} classes; Kinetics-710 has {NUM_CLASSES}")
    label_maps = {source.name: map_labels(source, class_names) for source in sources}
    jobs = [(source.train, len(source.class_names)) for source in sources]
    jobs += [(source.val, len(source.class_names)) for source in sources if source.val]
    rows_of = _read_all(jobs, separator=separator, num_workers=num_workers)
    held_out_ids = {row.youtube_id for source in sources if source.val for row in rows_of[source.val]}
    for path in held_out:
        held_out_ids.update(read_ids(path, separator))
    summary, dropped = MergeSummary(Counter()), []
    for split, lists in {"train": [s.train for s in sources], "val": [s.val for s in sources]}.items():
        kept: dict[str, Row] = {}
        for source, list_path in zip(sources, lists, strict=True):
            for row in rows_of.get(list_path, ()):
                path = os.path.join(source.prefix, row.path)
                row = Row(path, label_maps[source.name][row.label], row.youtube_id)
                reason = _why_dropped(row, kept, held_out_ids if split == "train" else set())
                summary.counts[source.name, split, reason] += 1
                if reason:
                    dropped.append((split, source.name, row.path, row.label, reason))
                else:
                    kept[row.youtube_id] = row
        lines = [f"{row.path}{separator}{row.label}" for row in kept.values()]
        for name in ("train",) if split == "train" else ("val", "test"):
            if lines:
                write_lines(out / f"{name}.csv", lines)
    write_lines(out / "classes.txt", class_names)
    for name, label_map in label_maps.items():
        write_json(out / f"label_map_{name}.json", label_map)
    write_csv(out / "dropped.csv", ("split", "source", "path", "label", "reason"), dropped)
    return summary


def _why_dropped(row: Row, kept: dict[str, Row], held_out_ids: set[str]) -> str:
    """The reason, or "" for a row to keep."""
    if row.youtube_id in held_out_ids:
        return LEAKED
    if row.youtube_id not in kept:
        return ""
    return REPEATED if kept[row.youtube_id].label == row.label else RELABELLED


def map_labels(source: Source, class_names: Sequence[str]) -> list[int]:
    """For each label of a source the label of the same class among ``class_names``.

    Raises:
        UserError: naming the classes that are not among them.
    """
    exact = {name: label for label, name in enumerate(class_names)}
    by_key = {class_key(name): label for label, name in enumerate(class_names)}
    labels = [exact.get(name, by_key.get(class_key(name))) for name in source.class_names]
    unknown = [name for name, label in zip(source.class_names, labels, strict=True) if label is None]
    if unknown:
        raise UserError(
            f"{source.name}: {len(unknown)} of its {len(labels)} classes are not among the {len(class_names)}, such as "
            f"{short(unknown[0])}; check the file of its class names"
        )
    return labels


def read_rows(path: Path, num_classes: int, separator: str) -> list[Row]:
    """Rows of a list ``path<sep>label``.

    Raises:
        UserError: naming file:line, for a bad line or a file name without YouTube id.
    """
    return [
        Row(record.path, record.label, youtube_id_of(record.path, f"{path}:{line_number}"))
        for line_number, record in iterate_list(path, PATH_LABEL, separator=separator, num_classes=num_classes)
    ]


def _read_job(job: tuple[Path, int], separator: str) -> list[Row]:
    return read_rows(*job, separator)


def _read_all(jobs: Sequence[tuple[Path, int]], *, separator: str, num_workers: int) -> dict[Path, list[Row]]:
    read = partial(_read_job, separator=separator)
    results = progress(map_unordered(read, jobs, num_workers=num_workers), "lists", len(jobs))
    rows_of = {jobs[idx][0]: rows for idx, rows in results}
    for path, rows in rows_of.items():
        if isinstance(rows, LostItem):
            raise UserError(f"{path}: could not be read: {rows.cause}; is there enough memory?")
    return rows_of


def youtube_id_of(path: str, where: str) -> str:
    """YouTube id in the name of a video file.

    Raises:
        UserError: beginning with ``where``, if the name has none.
    """
    match = YOUTUBE_ID.fullmatch(os.path.splitext(os.path.basename(path))[0])
    if match is None:
        raise UserError(
            f"{where}: {short(path)} has no YouTube id; accepted: <id>.mp4 or <id>_<start>_<end>.mp4, with 11 "
            f"characters of id and 6 digits each"
        )
    return match["id"]


def read_ids(path: Path, separator: str) -> list[str]:
    """YouTube ids of a list, whose labels do not matter, or of an official CSV file with a column youtube_id.

    Raises:
        UserError: naming file:line, for a missing file or a line without a YouTube id.
    """
    lines = read_lines(path, "list file")
    reader = csv.DictReader(lines)
    try:
        if "youtube_id" in (reader.fieldnames or ()):
            ids = []
            for row in reader:
                if not row["youtube_id"]:
                    raise UserError(f"{path}:{reader.line_num}: has no youtube_id")
                ids.append(row["youtube_id"])
            return ids
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: is no CSV: {error}") from None
    return list(_ids_of_lines(lines, path, separator))


def _ids_of_lines(lines: Sequence[str], path: Path, separator: str) -> Iterator[str]:
    for line_number, line in enumerate(lines, start=1):
        if line.strip():
            video, found, _ = line.rpartition(separator)
            yield youtube_id_of(field_text(video if found else line), f"{path}:{line_number}")


def overlaps(paths: Sequence[Path], separator: str = ",") -> list[tuple[Path, Path, list[str]]]:
    """YouTube ids that two lists have in common, for every two of the lists; sorted, each id once.

    Raises:
        UserError: as ``read_ids``.
    """
    ids = {path: set(read_ids(path, separator)) for path in paths}
    return [(one, other, sorted(ids[one] & ids[other])) for one, other in combinations(paths, 2)]
