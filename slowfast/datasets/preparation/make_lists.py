"""List files from official annotation files, or from a folder of class folders."""

import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from slowfast.config.coerce import short
from slowfast.datasets.labels import class_key, load_label_list
from slowfast.datasets.lists.annotations import load_list
from slowfast.datasets.lists.class_folders import find_class_videos, list_class_folders, told_empty
from slowfast.datasets.lists.line_forms import FRAME_FOLDER, PATH_LABEL, TIME_SPAN, ListForm
from slowfast.datasets.preparation import official_annotations as official
from slowfast.datasets.preparation.list_files import ResultLog, write_csv, write_lines
from slowfast.datasets.preparation.media_index import MediaIndex, index_frame_folders, index_videos
from slowfast.datasets.preparation.official_annotations import Annotation
from slowfast.errors import UserError
from slowfast.runtime.files import NAMES

SPLITS = ("train", "val", "test")
MISSING_FILE = "missing.csv"


@dataclass(frozen=True)
class OfficialSet:
    """How the lists of a data set are made.

    Attributes:
        read: (annotations, part) to what its official files say, for the parts "train" and "val", or "test".
        classes: shipped list of class names; "" if it has to be named, there being several orders.
        separator: of the lists' fields.
        is_untrimmed: videos have a part that shows the class.
        frame_list: name of the lists of folders of frames, {} being the split; "" if only videos are listed.
        has_videos: videos may be listed, too.
        image_template: usual file name of a frame.
        parts: the list of a split comes from which part; without val or test, the reader of the lists takes the other.
        has_numbered_splits: ``read`` takes a split_number, too.
    """

    read: Callable[..., Iterable[Annotation]]
    classes: str
    separator: str
    is_untrimmed: bool = False
    frame_list: str = ""
    has_videos: bool = True
    image_template: str = "img_{:05d}.jpg"
    parts: tuple[tuple[str, str], ...] = (("train", "train"), ("val", "val"), ("test", "val"))
    has_numbered_splits: bool = False


_TRAIN_VAL = (("train", "train"), ("val", "val"))
# Two lists each: the second one serves for validation and test.
_TRAIN_TEST = (("train", "train"), ("val", "test"), ("test", "test"))

OFFICIAL_SETS = {
    "kinetics": OfficialSet(official.read_kinetics, "", ","),
    "mit": OfficialSet(official.read_moments_in_time, "moments_in_time_v1", ","),
    "sthv1": OfficialSet(
        *(official.read_something_something_v1, "something_something_v1", " "),
        frame_list="somesomev1_rgb_{}_split.txt",
        has_videos=False,
        image_template="{:05d}.jpg",
        parts=_TRAIN_VAL,
    ),
    "sthv2": OfficialSet(
        *(official.read_something_something_v2, "something_something_v2", " "),
        frame_list="somesomev2_rgb_{}_split.txt",
        has_videos=False,
        parts=_TRAIN_VAL,
    ),
    "anet": OfficialSet(official.read_activitynet, "activitynet200", " ", is_untrimmed=True),
    "hacs": OfficialSet(official.read_activitynet, "activitynet200", " ", is_untrimmed=True),
    "ucf101": OfficialSet(
        *(official.read_ucf101, "ucf101", " "), frame_list="{}.txt", parts=_TRAIN_TEST, has_numbered_splits=True
    ),
    "hmdb51": OfficialSet(
        *(official.read_hmdb51, "hmdb51", " "), frame_list="{}.txt", parts=_TRAIN_TEST, has_numbered_splits=True
    ),
}


@dataclass(frozen=True)
class ListSummary:
    """What became of the annotations of a split, and more that there is to say of it."""

    path: Path
    num_rows: int
    dropped: Counter
    note: str = ""

    def line(self) -> str:
        """For people."""
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(self.dropped.items()))
        told = f"; dropped {self.dropped.total()} ({reasons})" if reasons else ""
        return f"{self.path}: {self.num_rows} rows{told}" + (f"; {self.note}" if self.note else "")


def make_official_lists(
    name: str,
    root: Path,
    out: Path,
    annotations: Path,
    *,
    classes: str = "",
    has_frames: bool = False,
    image_template: str = "",
    split_number: int = 1,
    has_official_test: bool = False,
    num_workers: int = 1,
) -> list[ListSummary]:
    """Write the lists of a data set, ``classes.txt``, and ``missing.csv`` with what was dropped and why.

    Rows name files relative to ``root``, which is to be DATA.PATH_PREFIX. An interrupted run leaves older lists as
    they are; the frames that it has counted are not counted again.

    Args:
        name: of OFFICIAL_SETS.
        root: folder above the videos or the folders of frames; how they lie in it does not matter.
        out: folder of the lists.
        annotations: folder of the official annotation files, or the one file.
        classes: list of class names in the order of the labels, shipped or a file; "" for the data set's own.
        has_frames: list folders of frames instead of videos, where the data set has both.
        image_template: file name of a frame; "" for the usual one.
        split_number: of UCF101 and HMDB51, 1 to 3.
        has_official_test: of Kinetics: the test list comes from test.csv, not from the validation annotations.
        num_workers: threads that look for files.

    Raises:
        UserError: for bad annotations, a class that the list of classes lacks, or a split without any file.
    """
    entry = OFFICIAL_SETS[name]
    classes = classes or entry.classes
    if not classes:
        raise UserError(f"{name}: name the order of the classes with --classes, such as kinetics400_uniformer")
    class_names = load_label_list(classes)
    has_frames = has_frames or not entry.has_videos
    if has_frames and not entry.frame_list:
        raise UserError(f"{name}: --frames is for data sets with lists of frame folders; accepted: ucf101, hmdb51")
    read = partial(entry.read, split_number=split_number) if entry.has_numbered_splits else entry.read
    parts = dict(entry.parts) | ({"test": "test"} if has_official_test else {})
    # Bad annotations should not be found only after an hour of looking for files.
    annotated = {part: list(read(annotations, part)) for part in dict.fromkeys(parts.values())}
    labels = _labels_of(annotated, class_names)
    template = image_template or entry.image_template
    log_path = out / f".frame_counts_{zlib.crc32(f'{root.resolve()} {template}'.encode()):08x}.jsonl"
    if has_frames:
        with ResultLog(log_path) as log:
            index = index_frame_folders(root, template, log=log, num_workers=num_workers)
    else:
        index = index_videos(root, num_workers=num_workers)
    form = FRAME_FOLDER if has_frames else TIME_SPAN if entry.is_untrimmed else PATH_LABEL
    file_name = entry.frame_list if has_frames else "{}.csv"
    summaries, missing = [], []
    for split, part in parts.items():
        rows, dropped = _rows(annotated[part], labels, index, form)
        path = out / file_name.format(split)
        _write_list(path, rows, form, entry.separator, len(class_names))
        missing += [(split, reason, annotation.names[0], annotation.where) for annotation, reason in dropped]
        summaries.append(ListSummary(path, len(rows), Counter(reason for _, reason in dropped)))
    write_lines(out / "classes.txt", class_names)
    write_csv(out / MISSING_FILE, ("split", "reason", "name", "annotation"), missing)
    log_path.unlink(missing_ok=True)
    return summaries


def _labels_of(annotated: dict[str, list[Annotation]], class_names: Sequence[str]) -> dict[str, int]:
    """Spellings of the annotations to labels: equal names first, then names that mean the same class."""
    exact = {name: label for label, name in enumerate(class_names)}
    by_key = {class_key(name): label for label, name in enumerate(class_names)}
    labels: dict[str, int] = {}
    for annotation in (annotation for annotations in annotated.values() for annotation in annotations):
        name = annotation.class_name
        if name in labels:
            continue
        label = exact.get(name, by_key.get(class_key(name)))
        if label is None:
            raise UserError(
                f"{annotation.where}: {short(name)} is not one of the {len(class_names)} classes; see --classes"
            )
        labels[name] = label
    return labels


def _rows(
    annotations: Iterable[Annotation], labels: dict[str, int], index: MediaIndex, form: ListForm
) -> tuple[list[tuple], list[tuple[Annotation, str]]]:
    """Fields of the rows of a list, and the annotations that gave none, with the reason."""
    rows: dict[tuple, None] = {}
    dropped = []
    for annotation in annotations:
        label, path, span = labels[annotation.class_name], index.find(annotation.names), annotation.span
        if path is None:
            dropped.append((annotation, "no file"))
            continue
        if form is FRAME_FOLDER:
            row = (path, index.num_frames[path], label)
            if row[1] == 0:
                dropped.append((annotation, "frames not numbered from 1 or 0 on"))
                continue
        elif form is TIME_SPAN:
            row = (path, *span, label)
            if not 0 <= span.start_s < min(span.end_s, span.total_s):
                dropped.append((annotation, "span empty or outside the video"))
                continue
        else:
            row = (path, label)
        if row in rows:
            dropped.append((annotation, "repeated"))
        rows[row] = None
    return list(rows), dropped


def _write_list(path: Path, rows: Sequence[tuple], form: ListForm, separator: str, num_classes: int) -> None:
    """Write a list and read it again, as training will."""
    if not rows:
        raise UserError(f"{path}: there is a file for none of its annotations; check the folder of the videos")
    _refuse_line_ends(path, (name for name, *_ in rows))
    write_lines(path, (separator.join(map(str, (_quoted(name), *numbers))) for name, *numbers in rows))
    records = load_list(path, form, separator=separator, num_classes=num_classes)
    for row, record in zip(rows, records, strict=True):
        if (record.path, record.label) != (row[0], row[-1]):
            raise UserError(f"{path}: no list can hold the file name {row[0]!r}; rename it")


def _refuse_line_ends(where: Path, names: Iterable[str]) -> None:
    """Refuse what would be two lines of a text file, before an older file is replaced."""
    for name in names:
        if "\n" in name or "\r" in name:
            raise UserError(f"{where}: no list can hold the name {name!r}, which has a newline character; rename it")


def _quoted(name: str) -> str:
    """A name as CSV quotes it, if it would be read otherwise: with blanks, a quote or a byte order mark around it."""
    is_plain = name == name.strip() and not name.startswith(('"', "\ufeff"))
    return name if is_plain else '"' + name.replace('"', '""') + '"'


def make_folder_lists(
    root: Path, out: Path, *, val_share: float = 0.1, test_share: float = 0.1, seed: int = 0, num_workers: int = 1
) -> list[ListSummary]:
    """Write the lists of people's own videos, ``root``/<class>/..., split at random but alike in each class.

    Args:
        root: folder of the class folders, which is to be DATA.PATH_PREFIX.
        out: folder of the lists and of ``classes.txt``.
        val_share, test_share: of each class's videos, rounded; in [0, 1). Without test videos, the validation list is
            the test list, too.
        seed: of the split; equal seeds and files give equal lists.
        num_workers: threads that look for files.

    Raises:
        UserError: if there are no classes, no videos, or too few for the shares.
    """
    if min(val_share, test_share) < 0 or val_share + test_share >= 1:
        raise UserError(f"--val-share {val_share} and --test-share {test_share}; accepted: from 0, below 1 together")
    class_names = list_class_folders(root)
    rows: dict[str, list[tuple]] = {split: [] for split in SPLITS}
    videos = find_class_videos(root, class_names, num_workers=num_workers)
    _refuse_line_ends(root, [*class_names, *(path for paths in videos.values() for path in paths)])
    for label, (name, paths) in enumerate(videos.items()):
        random.Random(f"{seed} {name}".encode(**NAMES)).shuffle(paths)
        num_val, num_test = round(val_share * len(paths)), round(test_share * len(paths))
        parts = paths[num_val + num_test :], paths[:num_val], paths[num_val : num_val + num_test]
        for split, part in zip(SPLITS, parts, strict=True):
            rows[split] += [(path, label) for path in sorted(part)]
    rows["test"] = rows["test"] or rows["val"]
    for split in SPLITS:
        if not rows[split]:
            raise UserError(f"{root}: no video is left for {split}; change --val-share and --test-share")
    summaries = []
    for split in SPLITS:
        path = out / f"{split}.csv"
        _write_list(path, rows[split], PATH_LABEL, ",", len(class_names))
        labels = {row[-1] for row in rows[split]}
        empty = [name for label, name in enumerate(class_names) if label not in labels]
        summaries.append(ListSummary(path, len(rows[split]), Counter(), told_empty(empty, len(class_names))))
    write_lines(out / "classes.txt", class_names)
    return summaries
