"""List files from the official annotation files of every data set, and from a folder of class folders."""

import csv
import json
from pathlib import Path

import pytest

from slowfast.datasets.labels import load_label_list
from slowfast.datasets.lists.annotations import load_list
from slowfast.datasets.lists.line_forms import FRAME_FOLDER, PATH_LABEL, TIME_SPAN, ListForm
from slowfast.datasets.preparation.list_files import ResultLog
from slowfast.datasets.preparation.make_lists import MISSING_FILE, make_folder_lists, make_official_lists
from slowfast.errors import UserError
from tests.datasets.preparation.official_files import kinetics_files, touch, write_official


def frames(root: Path, folder: str, num_frames: int, template: str = "{:05d}.jpg") -> None:
    touch(root, *(f"{folder}/{template.format(number)}" for number in range(1, num_frames + 1)))


def make(name: str, tmp_path: Path, **arguments) -> dict[str, str]:
    """Make lists from the folders media and official; the texts of all files that are written."""
    paths = (tmp_path / "media", tmp_path / "out", tmp_path / "official")
    make_official_lists(name, *paths, num_workers=2, **arguments)
    return {path.name: path.read_text() for path in paths[1].iterdir()}


def rows(text: str, form: ListForm, separator: str, tmp_path: Path, num_classes: int) -> list[tuple]:
    (tmp_path / "list").write_text(text)
    return [tuple(r) for r in load_list(tmp_path / "list", form, separator=separator, num_classes=num_classes)]


def test_kinetics(tmp_path: Path):
    kinetics_files(tmp_path)
    texts = make("kinetics", tmp_path, classes="kinetics400_alphabetical")
    assert texts["train.csv"] == "train/abseiling/aaaaaaaaaa1_000010_000020.mp4,0\ntrain/-_aaaaaaaa2.mkv,1\n"
    assert texts["val.csv"] == texts["test.csv"] == "val/aaaaaaaaaa4_000001_000011.mp4,1\n"
    assert texts["classes.txt"].splitlines() == load_label_list("kinetics400_alphabetical")
    assert list(csv.reader(texts[MISSING_FILE].splitlines())) == [
        ["split", "reason", "name", "annotation"],
        ["train", "no file", "aaaaaaaaaa3_000005_000015", f"{tmp_path}/official/train.csv:4"],
        ["train", "repeated", "aaaaaaaaaa1_000010_000020", f"{tmp_path}/official/train.csv:5"],
    ]
    assert set(texts) == {"train.csv", "val.csv", "test.csv", "classes.txt", MISSING_FILE}


def test_kinetics_with_its_own_test_set_and_the_order_of_the_authors(tmp_path: Path):
    kinetics_files(tmp_path)
    texts = make("kinetics", tmp_path, classes="kinetics400_uniformer", has_official_test=True)
    label = load_label_list("kinetics400_uniformer").index("abseiling")
    assert texts["test.csv"] == f"aaaaaaaaaa5_000001_000011.mp4,{label}\n"


def test_kinetics_needs_the_order_of_its_classes_and_labels_to_test_on(tmp_path: Path):
    kinetics_files(tmp_path)
    with pytest.raises(UserError, match=r"kinetics: name the order of the classes with --classes"):
        make("kinetics", tmp_path)
    write_official(tmp_path, test__csv="youtube_id,time_start,time_end,split\naaaaaaaaaa5,1,11,test\n")
    with pytest.raises(UserError, match=r"test.csv:1: has no column label; found \['youtube_id'"):
        make("kinetics", tmp_path, classes="kinetics400_uniformer", has_official_test=True)


def test_a_summary_counts_rows_and_reasons(tmp_path: Path):
    kinetics_files(tmp_path)
    paths = (tmp_path / "media", tmp_path / "out", tmp_path / "official")
    summaries = make_official_lists("kinetics", *paths, classes="kinetics400_alphabetical")
    assert summaries[0].line() == f"{paths[1]}/train.csv: 2 rows; dropped 2 (no file 1, repeated 1)"
    assert summaries[1].line() == f"{paths[1]}/val.csv: 1 rows"


def test_moments_in_time_tells_files_of_one_name_apart_by_their_folder(tmp_path: Path):
    write_official(
        tmp_path,
        trainingSet__csv="clapping/x_1.mp4,clapping,3,0\npraying/x_1.mp4,praying,4,1\npraying/y.mp4,praying,4,1\n",
        validationSet__csv="dropping/z.mp4,dropping,3,1\n",
    )
    touch(tmp_path / "media", "training/clapping/x_1.mp4", "training/praying/x_1.mp4", "validation/dropping/z.mp4")
    touch(tmp_path / "media", "training/clapping/y.mp4")
    texts = make("mit", tmp_path)
    assert texts["train.csv"] == "training/clapping/x_1.mp4,0\ntraining/praying/x_1.mp4,1\n"
    assert texts["val.csv"] == texts["test.csv"] == "validation/dropping/z.mp4,2\n"
    assert ",praying/y," in texts[MISSING_FILE]


def test_something_something_v1_counts_frames(tmp_path: Path):
    names = load_label_list("something_something_v1")
    write_official(
        tmp_path,
        something_something_v1_train__csv=f"1;{names[3]}\n2;{names[5]}\n3;{names[0]}\n4;{names[0]}\n",
        something_something_v1_validation__csv=f"5;{names[7]}\n",
    )
    for folder, num_frames in (("1", 3), ("2", 40), ("5", 1)):
        frames(tmp_path / "media", f"jpg/{folder}", num_frames)
    touch(tmp_path / "media", "jpg/3/00001.jpg", "jpg/3/00003.jpg")
    texts = make("sthv1", tmp_path)
    assert texts["somesomev1_rgb_train_split.txt"] == "jpg/1 3 3\njpg/2 40 5\n"
    assert texts["somesomev1_rgb_val_split.txt"] == "jpg/5 1 7\n"
    assert [row[1:3] for row in csv.reader(texts[MISSING_FILE].splitlines()[1:])] == [
        ["frames not numbered from 1 or 0 on", "3"],
        ["no file", "4"],
    ]
    assert not [name for name in texts if name.startswith(".")]


def test_something_something_v2_json_to_lists_of_frame_folders(tmp_path: Path):
    template = load_label_list("something_something_v2")[9]
    entries = [{"id": "7", "template": template, "label": "x", "placeholders": []}]
    write_official(tmp_path, train__json=json.dumps(entries), validation__json=json.dumps(entries))
    frames(tmp_path / "media", "7", 12, "img_{:05d}.jpg")
    texts = make("sthv2", tmp_path)
    assert "[" in template
    assert texts["somesomev2_rgb_train_split.txt"] == texts["somesomev2_rgb_val_split.txt"] == "7 12 9\n"


def test_counting_frames_goes_on_where_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    names = load_label_list("something_something_v1")
    write_official(
        tmp_path,
        something_something_v1_train__csv="".join(f"{i};{names[i]}\n" for i in range(30)),
        something_something_v1_validation__csv=f"1;{names[1]}\n",
    )
    for i in range(30):
        frames(tmp_path / "media", str(i), 2)
    counted, add = [], ResultLog.add

    def add_twenty(log: ResultLog, key: str, result: int) -> None:
        counted.append(key)
        if len(counted) == 21:
            raise KeyboardInterrupt
        add(log, key, result)

    monkeypatch.setattr(ResultLog, "add", add_twenty)
    with pytest.raises(KeyboardInterrupt):
        make("sthv1", tmp_path)
    assert not list((tmp_path / "out").glob("*.txt"))
    assert make("sthv1", tmp_path)["somesomev1_rgb_train_split.txt"].count("\n") == 30
    assert len(counted) == 21 + 10 and set(counted[:20]).isdisjoint(counted[21:])


DATABASE = {
    "one": {
        "subset": "training",
        "duration": 82.75,
        "annotations": [
            {"segment": [6.5, 30.25], "label": "Archery"},
            {"segment": [40, 90.5], "label": "Archery"},
            {"segment": [50, 50], "label": "Archery"},
        ],
    },
    "two": {
        "subset": "validation",
        "duration": 10,
        "annotations": [
            {"segment": [0, 5], "label": "Surfing"},
            {"segment": [6, 8], "label": "Surfing"},
            {"segment": [1, 8], "label": "Archery"},
        ],
    },
    "three": {"subset": "testing", "duration": 10, "annotations": []},
}


@pytest.mark.parametrize(("name", "prefix"), [("anet", "v_"), ("hacs", "")])
def test_activitynet_and_hacs(tmp_path: Path, name: str, prefix: str):
    file = {"anet": "activity_net.v1-3.min.json", "hacs": "HACS_segments_v1.1.1.json"}[name]
    (tmp_path / "official").mkdir()
    (tmp_path / "official" / file).write_text(json.dumps({"version": "1.3", "database": DATABASE}))
    touch(tmp_path / "media", f"{prefix}one.mp4", f"sub/{prefix}two.webm")
    texts = make(name, tmp_path)
    names = load_label_list("activitynet200")
    archery, surfing = names.index("Archery"), names.index("Surfing")
    # One row per part to train on; one row per video and class to test on, of the whole video.
    assert rows(texts["train.csv"], TIME_SPAN, " ", tmp_path, 200) == [
        (f"{prefix}one.mp4", archery, None, 82.75, 6.5, 30.25),
        (f"{prefix}one.mp4", archery, None, 82.75, 40.0, 90.5),
    ]
    whole = [(f"sub/{prefix}two.webm", label, None, 10.0, 0.0, 10.0) for label in (surfing, archery)]
    assert rows(texts["val.csv"], TIME_SPAN, " ", tmp_path, 200) == whole
    assert texts["test.csv"] == texts["val.csv"]
    assert "span empty or outside the video" in texts[MISSING_FILE]


def test_a_json_file_of_another_form_is_refused(tmp_path: Path):
    (tmp_path / "official").mkdir()
    (tmp_path / "official" / "activity_net.v1-3.min.json").write_text('{"database": {"a": {"subset": "training"}}}')
    touch(tmp_path / "media", "a.mp4")
    with pytest.raises(UserError, match=r"min.json: is not of the form of ActivityNet \(KeyError: 'duration'\)"):
        make("anet", tmp_path)


def ucf101_files(tmp_path: Path) -> None:
    write_official(tmp_path)
    for number in (1, 2, 3):
        (tmp_path / "official" / f"trainlist{number:02d}.txt").write_text(
            f"Archery/v_Archery_g0{number}_c01.avi 3\nHandStandPushups/v_HandStandPushups_g01_c01.avi 37\n"
        )
        (tmp_path / "official" / f"testlist{number:02d}.txt").write_text(f"Archery/v_Archery_g1{number}_c01.avi\n")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_ucf101_videos_of_each_split(tmp_path: Path, number: int):
    ucf101_files(tmp_path)
    names = [f"Archery/v_Archery_g{i}{j}_c01.avi" for i in (0, 1) for j in (1, 2, 3)]
    touch(tmp_path / "media", *names, "HandstandPushups/v_HandStandPushups_g01_c01.avi")
    texts = make("ucf101", tmp_path, split_number=number)
    classes = load_label_list("ucf101")
    assert rows(texts["train.csv"], PATH_LABEL, " ", tmp_path, 101)[0][:2] == (
        f"Archery/v_Archery_g0{number}_c01.avi",
        classes.index("Archery"),
    )
    # The video lies in a folder of another spelling.
    assert texts["train.csv"].splitlines()[1].startswith("HandstandPushups/v_HandStandPushups_g01_c01.avi ")
    assert texts["test.csv"] == f"Archery/v_Archery_g1{number}_c01.avi {classes.index('Archery')}\n"
    assert texts["val.csv"] == texts["test.csv"]


def test_ucf101_frame_folders(tmp_path: Path):
    ucf101_files(tmp_path)
    for name in ("v_Archery_g01_c01", "v_HandStandPushups_g01_c01", "v_Archery_g11_c01"):
        frames(tmp_path / "media", name, 5, "img_{:05d}.jpg")
    texts = make("ucf101", tmp_path, has_frames=True)
    label = load_label_list("ucf101").index("Archery")
    assert rows(texts["train.txt"], FRAME_FOLDER, " ", tmp_path, 101)[0][:3] == ("v_Archery_g01_c01", label, 5)
    assert texts["test.txt"] == f"v_Archery_g11_c01 5 {label}\n"


def test_hmdb51(tmp_path: Path):
    write_official(tmp_path)
    (tmp_path / "official" / "brush_hair_test_split2.txt").write_text("a #1_goo.avi 1 \nb.avi 2 \nc.avi 0 \n")
    (tmp_path / "official" / "cartwheel_test_split2.txt").write_text("d.avi 2 \n")
    (tmp_path / "official" / "cartwheel_test_split1.txt").write_text("d.avi 1 \n")
    touch(tmp_path / "media", "brush_hair/a #1_goo.avi", "brush_hair/b.avi", "brush_hair/c.avi", "cartwheel/d.avi")
    texts = make("hmdb51", tmp_path, split_number=2)
    assert texts["train.csv"] == "brush_hair/a #1_goo.avi 0\n"
    assert texts["test.csv"] == "brush_hair/b.avi 0\ncartwheel/d.avi 1\n"
    with pytest.raises(UserError, match=r"has no file <class>_test_split3\.txt"):
        make("hmdb51", tmp_path, split_number=3)


def test_an_unknown_class_names_its_line(tmp_path: Path):
    write_official(tmp_path, trainingSet__csv="a/b.mp4,juggling with knives,1,0\n", validationSet__csv="")
    touch(tmp_path / "media", "a/b.mp4")
    with pytest.raises(UserError, match=r"trainingSet.csv:1: 'juggling with knives' is not one of the 339 classes"):
        make("mit", tmp_path)


def test_lists_without_any_video_are_refused_and_leave_the_old_ones(tmp_path: Path):
    write_official(
        tmp_path, trainingSet__csv="clapping/b.mp4,clapping\n", validationSet__csv="clapping/b.mp4,clapping\n"
    )
    touch(tmp_path / "out", "train.csv")
    with pytest.raises(UserError, match=r"media: is no folder"):
        make("mit", tmp_path)
    touch(tmp_path / "media", "clapping/notes.txt")
    with pytest.raises(UserError, match=r"media: holds no video; accepted suffixes: \.3gp"):
        make("mit", tmp_path)
    touch(tmp_path / "media", "clapping/other.mp4")
    with pytest.raises(UserError, match=r"train.csv: there is a file for none of its annotations"):
        make("mit", tmp_path)
    assert (tmp_path / "out" / "train.csv").read_text() == ""


# A folder of class folders


def test_a_folder_of_class_folders_is_split_alike_in_each_class(tmp_path: Path):
    for name, num_videos in (("b c", 20), ("a", 10)):
        touch(tmp_path / "media", *(f"{name}/{i}.mp4" for i in range(num_videos)))
    touch(tmp_path / "media", "no_class.mp4")
    out = tmp_path / "out"
    summaries = make_folder_lists(tmp_path / "media", out, val_share=0.2, test_share=0.1)
    assert [summary.num_rows for summary in summaries] == [21, 6, 3]
    lists = {
        split: load_list(out / f"{split}.csv", PATH_LABEL, separator=",", num_classes=2)
        for split in ("train", "val", "test")
    }
    assert [sum(record.label == 1 for record in records) for records in lists.values()] == [14, 4, 2]
    paths = [record.path for records in lists.values() for record in records]
    assert len(set(paths)) == 30 and all(
        (record.label == 1) == record.path.startswith("b c/") for record in lists["val"]
    )
    assert (out / "classes.txt").read_text() == "a\nb c\n"


def test_names_that_a_list_would_read_otherwise_are_quoted(tmp_path: Path):
    names = [
        " lead/0.mp4",
        '"q" c/1.mp4',
        "\ufeffmark/2.mp4",
        "c/ 3.mp4",
        'c/"4".mp4',
        *(f"c/{i}.mp4" for i in range(5, 9)),
    ]
    touch(tmp_path / "media", *names)
    make_folder_lists(tmp_path / "media", tmp_path / "out", val_share=0.2, test_share=0.0, seed=1)
    paths = [
        record.path
        for split in ("train", "val")
        for record in load_list(tmp_path / "out" / f"{split}.csv", PATH_LABEL, separator=",", num_classes=4)
    ]
    assert sorted(paths) == sorted(names)


@pytest.mark.parametrize("name", ["a/two\nlines.mp4", "a/two\rlines.mp4", "two\nlines/0.mp4"])
def test_a_name_that_would_be_two_lines_is_refused_and_leaves_the_old_lists(tmp_path: Path, name: str):
    touch(tmp_path / "media", name, *(f"a/{i}.mp4" for i in range(10)))
    touch(tmp_path / "out", "train.csv")
    with pytest.raises(UserError, match=r"no list can hold the name '.*two\\[nr]lines.*newline character; rename it"):
        make_folder_lists(tmp_path / "media", tmp_path / "out", val_share=0.1, test_share=0.0)
    assert (tmp_path / "out" / "train.csv").read_text() == ""


def test_the_random_split_depends_on_the_seed_alone(tmp_path: Path):
    touch(tmp_path / "media", *(f"{name}/{i}.mp4" for name in "ab" for i in range(30)))
    texts = {}
    for out, seed in (("one", 0), ("two", 0), ("three", 1)):
        make_folder_lists(tmp_path / "media", tmp_path / out, seed=seed)
        texts[out] = (tmp_path / out / "val.csv").read_text()
    assert texts["one"] == texts["two"] != texts["three"]


def test_too_few_videos_and_impossible_shares_are_refused(tmp_path: Path):
    touch(tmp_path / "media", "a/1.mp4", "b/2.mp4")
    with pytest.raises(UserError, match=r"no video is left for val; change --val-share and --test-share"):
        make_folder_lists(tmp_path / "media", tmp_path / "out")
    for shares in ((0.5, 0.5), (-0.1, 0.2)):
        with pytest.raises(UserError, match=r"accepted: from 0, below 1 together"):
            make_folder_lists(tmp_path / "media", tmp_path / "out", val_share=shares[0], test_share=shares[1])


def test_without_test_videos_the_validation_list_serves_for_both(tmp_path: Path):
    touch(tmp_path / "media", *(f"a/{i}.mp4" for i in range(10)))
    make_folder_lists(tmp_path / "media", tmp_path / "out", val_share=0.3, test_share=0.0)
    assert (tmp_path / "out" / "test.csv").read_text() == (tmp_path / "out" / "val.csv").read_text()
