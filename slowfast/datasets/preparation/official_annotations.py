"""The annotation files that data sets are published with, read to one form."""

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slowfast.config.coerce import short
from slowfast.datasets.lists.something_something import find_official_file, iterate_json_array, without_brackets
from slowfast.datasets.lists.text_file import read_lines, read_text
from slowfast.datasets.records import TimeSpan
from slowfast.errors import UserError


@dataclass(frozen=True)
class Annotation:
    """One video, or a part of one, and its class.

    Attributes:
        names: what its file, or folder of frames, may be called: without suffix, with or without the folder it is in.
        class_name: as the annotation file spells it.
        where: file:line or the like, for messages.
        span: the part that shows the class, for untrimmed videos.
    """

    names: tuple[str, ...]
    class_name: str
    where: str
    span: TimeSpan | None = None


def find_file(folder: Path, *names: str) -> Path:
    """The first file of a folder that there is; ``folder`` may also be the file itself.

    Raises:
        UserError: if there is none.
    """
    if os.path.isfile(folder):
        return folder
    for name in names:
        if os.path.isfile(folder / name):
            return folder / name
    raise UserError(f"{folder}: expected one of {', '.join(names)} in it")


def read_kinetics(folder: Path, part: str) -> Iterator[Annotation]:
    """``label,youtube_id,time_start,time_end,split`` with a header line; part is train, val or test.

    A clip's file is ``<id>_<start>_<end>``, six digits each, or ``<id>``.

    Raises:
        UserError: for a missing file or column (the labels of a test set may not be published), or a bad line.
    """
    names = {"train": ("train.csv",), "val": ("val.csv", "validate.csv"), "test": ("test.csv",)}[part]
    path = find_file(folder, *names)
    rows = _csv_rows(path)
    where, names = next(rows, (f"{path}:1", []))
    missing = {"label", "youtube_id", "time_start", "time_end"} - set(names)
    if missing:
        raise UserError(f"{where}: has no column {', '.join(sorted(missing))}; found {short(names, 200)}")
    for where, fields in rows:
        row = dict(zip(names, fields, strict=False))
        try:
            start_s, end_s = (int(float(row[name])) for name in ("time_start", "time_end"))
            name = f"{row['youtube_id']}_{start_s:06d}_{end_s:06d}"
            label = row["label"]
        except (KeyError, ValueError, OverflowError):
            raise UserError(f"{where}: time_start and time_end of {short(row, 200)} are not numbers") from None
        yield Annotation((name, row["youtube_id"]), label, where)


def read_moments_in_time(folder: Path, part: str) -> Iterator[Annotation]:
    """``class/file.mp4,class,agreements,disagreements`` without a header; part is train or val.

    Raises:
        UserError: for a missing file or a line with fewer than two fields.
    """
    path = find_file(folder, {"train": "trainingSet.csv", "val": "validationSet.csv"}[part])
    for where, row in _csv_rows(path):
        if len(row) < 2:
            raise UserError(f"{where}: expected 'class/file.mp4,class,...', found {short(','.join(row), 200)}")
        yield Annotation((_without_suffix(row[0]),), row[1], where)


def read_something_something_v1(folder: Path, part: str) -> Iterator[Annotation]:
    """``id;class``; part is train or val.

    Raises:
        UserError: for a missing file or a line without a semicolon.
    """
    word = {"train": "train", "val": "validation"}[part]
    path = find_file(folder, f"something-something-v1-{word}.csv")
    for line_number, line in _lines(path):
        video_id, found, class_name = line.partition(";")
        if not found:
            raise UserError(f"{path}:{line_number}: expected 'id;class', found {short(line, 200)}")
        yield Annotation((video_id,), class_name, f"{path}:{line_number}")


def read_something_something_v2(folder: Path, part: str) -> Iterator[Annotation]:
    """The JSON lists of ``id`` and ``template``; part is train or val.

    Raises:
        UserError: for a missing file, or an entry of another form.
    """
    path = find_official_file(folder, {"train": "train", "val": "validation"}[part])
    for line_number, entry in iterate_json_array(path):
        where = f"{path}:{line_number}"
        try:
            yield Annotation((str(entry["id"]),), without_brackets(entry["template"]), where)
        except (KeyError, TypeError, AttributeError):
            raise UserError(f"{where}: expected an entry with 'id' and 'template', found {short(entry)}") from None


def read_activitynet(path: Path, part: str) -> Iterator[Annotation]:
    """ActivityNet's and HACS's JSON: ``database``, and in it ``subset``, ``duration`` and ``annotations`` by video id.

    Training videos give one annotation a segment, validation videos one of the whole video for each of its classes.
    A video's file is ``v_<id>`` or ``<id>``.

    Raises:
        UserError: for a missing file or an entry of another form.
    """
    path = find_file(path, "activity_net.v1-3.min.json", "HACS_segments_v1.1.1.json", "HACS_segments_v1.1.json")
    subset = {"train": "training", "val": "validation"}[part]
    try:
        database = json.loads(read_text(path, "annotations"))["database"]
        for video_id, video in database.items():
            if video["subset"] != subset:
                continue
            where, names, total_s = f"{path}: video {video_id}", (f"v_{video_id}", video_id), float(video["duration"])
            if part == "train":
                for segment in video["annotations"]:
                    start_s, end_s = map(float, segment["segment"])
                    yield Annotation(names, segment["label"], where, TimeSpan(total_s, start_s, end_s))
            else:
                for class_name in dict.fromkeys(segment["label"] for segment in video["annotations"]):
                    yield Annotation(names, class_name, where, TimeSpan(total_s, 0.0, total_s))
    except UserError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: is not of the form of ActivityNet ({type(error).__name__}: {error})") from None


def read_ucf101(folder: Path, part: str, split_number: int) -> Iterator[Annotation]:
    """``Class/file.avi``, in the training lists with a number behind it; part is train or test, split_number 1 to 3.

    Raises:
        UserError: for a missing file or a line without a class.
    """
    path = find_file(folder, f"{part}list{split_number:02d}.txt")
    for line_number, line in _lines(path):
        file_name = line.split()[0]
        class_name, found, _ = file_name.partition("/")
        if not found:
            raise UserError(f"{path}:{line_number}: expected 'Class/file.avi', found {short(line, 200)}")
        name = _without_suffix(file_name)
        yield Annotation((name, name.rpartition("/")[2]), class_name, f"{path}:{line_number}")


def read_hmdb51(folder: Path, part: str, split_number: int) -> Iterator[Annotation]:
    """One file a class, ``<class>_test_split<n>.txt``, of lines ``file.avi k``: k is 1 to train, 2 to test, 0 unused.

    Raises:
        UserError: if there is no such file, or a line has no k.
    """
    ending = f"_test_split{split_number}.txt"
    paths = sorted(folder.glob(f"*{ending}"))
    if not paths:
        raise UserError(f"{folder}: has no file <class>{ending}")
    wanted = {"train": "1", "test": "2"}[part]
    for path in paths:
        class_name = path.name.removesuffix(ending)
        for line_number, line in _lines(path):
            file_name, _, kind = line.strip().rpartition(" ")
            if kind not in ("0", "1", "2"):
                raise UserError(f"{path}:{line_number}: expected 'file.avi 0', 1 or 2, found {short(line, 200)}")
            if kind == wanted:
                name = _without_suffix(file_name)
                yield Annotation((f"{class_name}/{name}", name), class_name, f"{path}:{line_number}")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their 1-based numbers."""
    return ((number, line) for number, line in enumerate(read_lines(path, "annotations"), start=1) if line.strip())


def _csv_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The rows of a CSV file that are not empty, each with the file:line where it ends."""
    reader = csv.reader(f"{line}\n" for line in read_lines(path, "annotations"))
    try:
        for row in filter(None, reader):
            yield f"{path}:{reader.line_num}", row
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: is no CSV: {error}") from None


def _without_suffix(path: str) -> str:
    folder, found, name = path.rpartition("/")
    return folder + found + (name.rpartition(".")[0] or name)
