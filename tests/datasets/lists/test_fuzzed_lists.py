"""Whatever stands in a list, a class-names file or an annotation file: rows come of it, or one line that names it."""

import os
import random
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from slowfast.config import load_config
from slowfast.datasets import build_class_names
from slowfast.datasets.build import build_list
from slowfast.datasets.catalog import DATASET_REGISTRY
from slowfast.datasets.lists import annotations
from slowfast.datasets.lists.repeated_videos import describe_repeats
from slowfast.datasets.preparation import official_annotations as official
from slowfast.datasets.preparation.kinetics710 import read_ids
from slowfast.datasets.records import VideoRecord
from slowfast.errors import UserError
from tests.time_bound import within

NUM_FILES, NUM_FAST, PER_BLOCK = 2000, 60, 250
LIMIT_S = 20
# What a reader, Python or another program gives a meaning to.
WORDS = [
    *(",", " ", "\t", ";", ",,", ", ", "'", '"', '""', '"a', 'a"', '"a, b"', "\\", "/", "//", "..", ".", "~", "*", "#"),
    *(
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "\0",
        "\x0b",
        "\x0c",
        "\x1c",
        "\x85",
        "\u2028",
        "\ufeff",
        "\ud800",
        "\udcff",
        "\u00a0",
    ),
    *(
        "-1",
        "-0",
        "+1",
        "1.0",
        "1e3",
        "1_0",
        "0x1",
        "1e999",
        "nan",
        "inf",
        "-inf",
        "9" * 30,
        "9" * 5000,
        "\u0661",
        "\u00b2",
    ),
    *("0;1", "1;", ";1", "1;1", "0;" * 40, "True", "null", "{}", "[]", "[[", "{", "}", "]", "\\u0000", "\\ud800", ": "),
    *(
        "[" * 3000,
        '{"a":' * 3000,
        '"id"',
        '"template"',
        "é",
        "東京",
        "\U0001f600",
        "x" * 3000,
        "http://a/b.mp4",
        "a.mp4",
    ),
]
BYTES = [b"\xff", b"\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n"]

PATHS = ["a b/{}.mp4 1\n", "/x/{}.mp4 0\n"]
FRAMES = ["a/{} 12 1\n", "b/{} 7 0\n"]
SPANS = ["a/{}.mp4 9.5 1 2.5 1\n", "b/{}.mp4 100 0 100 0\n"]
LABELS = ['{"Holding something": "1",\n', ' "Pushing": "0"}\n']
ENTRIES = [
    "[\n",
    *(f'  {{"id": "{i}", "template": "Holding [something]"}},\n' for i in range(5)),
    '{"id": 7, "template": "Pushing"}\n]\n',
]
ANNOTATED = [
    '{"database": {',
    '"a": {"subset": "training", "duration": 9.5,\n',
    '"annotations": [{"segment": [0, 1.5],\n',
    '"label": "x"}]}}}\n',
]
KINETICS = ["label,youtube_id,time_start,time_end\n", '"a, b",0wR5jVB-WPk,1,11\n']
IDS = ["youtube_id,split\n", "0wR5jVB-WPk,test\n"]


class Kind(NamedTuple):
    """A reader of the file ``name`` whose good lines are such; ``read`` takes the folder."""

    name: str
    lines: list[str]
    read: Callable[[Path], Any]


def read_list(folder: Path, dataset: str, *overrides: object) -> list[VideoRecord]:
    """All that a run does with a list before it opens a video; rows read all at once are those read one by one."""
    # A config of each kind is made once.
    key = (folder, dataset, overrides)
    if key not in CONFIGS:
        CONFIGS[key] = load_config(
            None,
            [
                *("TRAIN.DATASET", dataset, "TEST.DATASET", dataset, "MODEL.NUM_CLASSES", 2, "NUM_GPUS", 0),
                *("DATA.PATH_TO_DATA_DIR", folder, "DATA.LABEL_PATH_TEMPLATE", "{}.txt", *overrides),
            ],
        )
    try:
        records = build_list(CONFIGS[key], "val").records
    except UserError as error:
        with pytest.raises(UserError, match=f"^{re.escape(str(error))}$"), ONE_BY_ONE:
            build_list(CONFIGS[key], "val")
        raise
    with ONE_BY_ONE:
        assert records == build_list(CONFIGS[key], "val").records
    assert all(os.fsencode(record.path) for record in records)
    assert all(line.isprintable() or not os.fsencode(line).isascii() for line in describe_repeats({"val": records}))
    return list(records)


def read_names(folder: Path) -> list[str] | None:
    cfg = load_config(None, ["DATA.CLASS_NAMES_FILE", folder / "classes.txt", "MODEL.NUM_CLASSES", 3])
    return build_class_names(cfg)


CONFIGS: dict[tuple, Any] = {}
ONE_BY_ONE = patch.object(annotations._Rows, "all_at_once", lambda *arguments: None)
MULTI_LABEL = ("DATA.MULTI_LABEL", True, "MODEL.LOSS_FUNC", "bce_logit")
KINDS = [
    *(Kind("val.csv", PATHS, partial(read_list, dataset=name)) for name in ("kinetics", "kinetics_sparse", "mit")),
    *(Kind("val.csv", PATHS, partial(read_list, dataset=name)) for name in ("ucf101_video", "hmdb_video")),
    *(Kind("val.csv", SPANS, partial(read_list, dataset=name)) for name in ("anet", "hacs")),
    *(Kind("val.txt", FRAMES, partial(read_list, dataset=name)) for name in ("sth", "hmdb", "ucf101")),
    Kind("validation.json", ENTRIES, partial(read_list, dataset="sth_video")),
    Kind("labels.json", LABELS, partial(read_list, dataset="sth_video")),
    Kind("val.csv", ["a.mp4 0;1\n", "b.mp4 1\n"], lambda folder: read_list(folder, "kinetics", *MULTI_LABEL)),
    Kind("classes.txt", ["jump\n", "run\n", "swim\n"], read_names),
    Kind("train.csv", KINETICS, partial(official.read_kinetics, part="train")),
    Kind("trainingSet.csv", ["a/b.mp4,a,1,0\n"], partial(official.read_moments_in_time, part="train")),
    Kind("something-something-v1-train.csv", ["1;A\n"], partial(official.read_something_something_v1, part="train")),
    Kind("train.json", ENTRIES, partial(official.read_something_something_v2, part="train")),
    Kind("activity_net.v1-3.min.json", ANNOTATED, partial(official.read_activitynet, part="train")),
    Kind("trainlist01.txt", ["A/b.avi 1\n"], partial(official.read_ucf101, part="train", split_number=1)),
    Kind("run_test_split1.txt", ["b.avi 1\n"], partial(official.read_hmdb51, part="train", split_number=1)),
    Kind("ids.csv", ["a/0wR5jVB-WPk.mp4,1\n"], lambda folder: read_ids(folder / "ids.csv", ",")),
    Kind("ids.csv", IDS, lambda folder: read_ids(folder / "ids.csv", ",")),
]


def test_every_reader_of_the_catalog_is_here():
    named = {kind.read.keywords.get("dataset") for kind in KINDS if isinstance(kind.read, partial)}
    assert named - {None} == set(DATASET_REGISTRY.names()) - {"folder"}


def mutated(draws: random.Random, good: list[str]) -> bytes:
    """A file of good lines with a few of them changed."""
    lines = list(good) if good[0][0] in "[{" else [draws.choice(good).replace("{}", str(i)) for i in range(12)]
    if good[0].startswith(("label,", "youtube_id")):
        lines[0] = good[0]
    for _ in range(draws.randint(0, 3)):
        at = draws.randrange(len(lines))
        line, cut = lines[at], draws.randrange(len(lines[at]) + 1)
        change = draws.randrange(6)
        if change == 0:
            lines[at] = line[:cut] + draws.choice(WORDS) + line[cut:]
        elif change == 1:
            lines[at] = line[:cut] + draws.choice(WORDS) + line[cut + 1 :]
        elif change == 2:
            lines[at] = draws.choice(WORDS) + "\n"
        elif change == 3:
            words = line.split(" ")
            words[draws.randrange(len(words))] = draws.choice(WORDS)
            lines[at] = " ".join(words)
        elif change == 4:
            lines.insert(at, lines[draws.randrange(len(lines))])
        else:
            lines[at] = line[:cut]
    content = "".join(lines).encode("utf-8", "surrogatepass")
    if draws.random() < 0.2:
        cut = draws.randrange(len(content) + 1)
        content = content[:cut] + draws.choice(BYTES) + content[cut + draws.randrange(2) :]
    return content


def refuse_or_read(kind: Kind, folder: Path, content: bytes) -> bool:
    """Whether rows come of a file; fails on anything but that or one line that names the file."""
    (folder / kind.name).write_bytes(content)
    try:
        with within(LIMIT_S, repr(content)):
            rows = kind.read(folder)
            if isinstance(rows, Iterator):
                rows = list(rows)
    except UserError as error:
        assert str(error).isprintable() and len(str(error)) < 2000, repr(error)
        assert str(folder / kind.name) in str(error) or kind.name == "labels.json", repr(error)
        return False
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}, for {kind.name} of {content!r:.2000}") from error
    return True


def fuzz(indices: range, root: Path) -> Iterator[bool]:
    for idx in indices:
        kind = KINDS[idx % len(KINDS)]
        folder = root / str(idx % len(KINDS))
        if not folder.exists():
            folder.mkdir()
            (folder / "labels.json").write_text("".join(LABELS))
            (folder / "validation.json").write_text("".join(ENTRIES))
        yield refuse_or_read(kind, folder, mutated(random.Random(idx), kind.lines))


def test_a_share_of_the_mutated_files(tmp_path: Path):
    results = list(fuzz(range(NUM_FAST), tmp_path))
    assert 0 < sum(results) < len(results)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, NUM_FILES, PER_BLOCK))
def test_mutated_files(start: int, tmp_path: Path):
    results = list(fuzz(range(start, start + PER_BLOCK), tmp_path))
    assert len(results) == PER_BLOCK and 0 < sum(results) < PER_BLOCK


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b"\0" * 5000, b'"', bytes(range(256)) * 20])
def test_files_that_hold_next_to_nothing(tmp_path: Path, content: bytes):
    for idx, kind in enumerate(KINDS):
        folder = tmp_path / str(idx)
        folder.mkdir()
        for name, lines in (("labels.json", LABELS), ("validation.json", ENTRIES)):
            (folder / name).write_text("".join(lines))
        refuse_or_read(kind, folder, content)


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path):
    for idx, kind in enumerate(KINDS):
        folder = tmp_path / str(idx)
        (folder / kind.name).mkdir(parents=True)
        with pytest.raises(UserError, match=str(folder)):
            list(kind.read(folder))
