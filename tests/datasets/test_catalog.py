"""Every data set by name: its lists, its reader, its sampling; and errors that name file, line and remedy."""

import json
import re
from pathlib import Path

import pytest
from fvcore.common.config import CfgNode

from slowfast.config import load_config
from slowfast.datasets import build_class_names, build_dataset
from slowfast.datasets.build import build_list
from slowfast.datasets.catalog import DATASET_REGISTRY
from slowfast.datasets.labels import label_list_names
from slowfast.datasets.lists.video_list import open_video
from slowfast.datasets.reading.frame_rate import ResampledReader
from slowfast.datasets.reading.frame_reader import FrameFolderReader
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.datasets.records import Sample, SampleKey, VideoRecord
from slowfast.datasets.sampling import dense_indices, sparse_indices
from slowfast.errors import UserError
from tests.config.published_experiments import flat_overrides, published_experiments
from tests.videos import number_of, write_frames, write_video

CONFIGS = Path(__file__).parents[2] / "configs" / "datasets"


def config(name: str, folder: Path, *overrides: object) -> CfgNode:
    return load_config(
        None,
        [
            *("TRAIN.DATASET", name, "TEST.DATASET", name, "MODEL.NUM_CLASSES", 5),
            *("DATA.PATH_TO_DATA_DIR", str(folder), "NUM_GPUS", 0, "DATA.NUM_FRAMES", 4, *overrides),
        ],
    )


def write(folder: Path, **lists: str) -> Path:
    """Files by name, . for _dot_."""
    for name, text in lists.items():
        (folder / name.replace("_dot_", ".")).write_text(text)
    return folder


# Names


def test_the_names_of_upstream_and_ours_are_there():
    upstream = {"kinetics", "kinetics_sparse", "mit", "sth", "hmdb", "ucf101"}
    assert upstream | {"anet", "hacs", "folder", "sth_video", "ucf101_video", "hmdb_video"} == set(
        DATASET_REGISTRY.names()
    )


def test_case_does_not_matter_as_upstream(tmp_path: Path):
    write(tmp_path, train_dot_csv="a.mp4 1\n")
    assert len(build_dataset(config("Kinetics_Sparse", tmp_path), "train")) == 1


@pytest.mark.parametrize(("name", "nearest"), [("ant", "anet"), ("something", "sth"), ("kinetic", "kinetics")])
def test_an_unknown_name_is_refused_with_those_accepted_and_the_nearest(tmp_path: Path, name: str, nearest: str):
    with pytest.raises(UserError) as error:
        build_dataset(config("kinetics", tmp_path, "TEST.DATASET", name), "test")
    message = str(error.value)
    assert message.startswith(f"TEST.DATASET is {name!r}; accepted: kinetics, kinetics_sparse, mit, sth, sth_video, ")
    if name != "something":
        assert message.endswith(f"the nearest is {nearest!r}")


def test_training_and_test_data_sets_have_keys_of_their_own(tmp_path: Path):
    write(tmp_path, train_dot_csv="a.mp4 1\n", val_dot_csv="b.mp4 2\n", test_dot_csv="c.mp4 9.5 1 2 3\n")
    cfg = config("kinetics", tmp_path, "TEST.DATASET", "anet")
    records = [build_dataset(cfg, split).records for split in ("train", "val", "test")]
    assert records[:2] == [[VideoRecord("a.mp4", 1)], [VideoRecord("b.mp4", 2)]]
    assert records[2][0].span == (9.5, 1, 2)


# Lists, readers and sampling


@pytest.mark.parametrize("name", ["kinetics", "kinetics_sparse", "mit", "ucf101_video", "hmdb_video"])
def test_videos_in_the_form_of_kinetics(tmp_path: Path, name: str):
    write(tmp_path, train_dot_csv="a b.mp4,1\n", val_dot_csv="c.mp4,2\n", test_dot_csv="/x/d.mp4,3\n")
    cfg = config(name, tmp_path, "DATA.PATH_LABEL_SEPARATOR", ",", "DATA.PATH_PREFIX", "/videos")
    datasets = [build_dataset(cfg, split) for split in ("train", "val", "test")]
    assert [dataset.records for dataset in datasets] == [
        [VideoRecord("/videos/a b.mp4", 1)],
        [VideoRecord("/videos/c.mp4", 2)],
        [VideoRecord("/x/d.mp4", 3)],
    ]
    lists = [dataset.lists[0] for dataset in datasets]
    is_dense = name in ("kinetics", "ucf101_video", "hmdb_video")
    assert all(videos.sampler.func is (dense_indices if is_dense else sparse_indices) for videos in lists)
    assert all(videos.open_source is VideoReader for videos in lists)


@pytest.mark.parametrize("name", ["sth", "hmdb"])
@pytest.mark.parametrize("separator", [",", " "])
def test_frame_folder_lists_are_split_on_spaces_whatever_the_key_says(tmp_path: Path, name: str, separator: str):
    write(tmp_path, list_train_dot_txt="a,b 12 3\n", list_val_dot_txt="c 5 0\n")
    overrides = ("DATA.LABEL_PATH_TEMPLATE", "list_{}.txt", "DATA.PATH_LABEL_SEPARATOR", separator)
    cfg = config(name, tmp_path, *overrides, "DATA.RANDOM_FLIP", False, "DATA.PATH_PREFIX", "/frames")
    assert build_dataset(cfg, "train").records == [VideoRecord("/frames/a,b", 3, num_frames=12)]
    # Both are tested on the list that validates them, unless there is another (hmdb).
    assert build_dataset(cfg, "test").records == build_dataset(cfg, "val").records == [VideoRecord("/frames/c", 0, 5)]


@pytest.mark.parametrize(("start", "said"), [(0, 1), (1, 0)])
def test_frame_folders_of_other_numbers_are_refused_when_the_list_is_loaded(tmp_path: Path, start: int, said: int):
    folder = write_frames(tmp_path / "a", 5, start=start)
    write(tmp_path, list_train_dot_txt="a 5 0\n", list_val_dot_txt="a 5 0\n")
    overrides = [
        "DATA.LABEL_PATH_TEMPLATE",
        "list_{}.txt",
        "DATA.RANDOM_FLIP",
        False,
        "DATA.PATH_PREFIX",
        str(tmp_path),
    ]
    for split in ("train", "val", "test"):
        with pytest.raises(UserError) as error:
            build_dataset(config("sth", tmp_path, *overrides, "DATA.IMAGE_START", said), split)
        assert str(error.value) == (
            f"{folder}: its files are numbered from {start} on (0000{start}.jpg), and DATA.IMAGE_START is {said}; "
            f"set DATA.IMAGE_START {start}"
        )
    dataset = build_dataset(config("sth", tmp_path, *overrides, "DATA.IMAGE_START", start), "val")
    with dataset.lists[0].open_source(str(folder), 5) as video:
        assert [number_of(frame) for frame in video.read(range(5))] == [100, 101, 102, 103, 104]


def test_rotation_is_applied_unless_a_key_says_otherwise(tmp_path: Path):
    write(tmp_path, list_train_dot_txt="a 5 0\n", train_dot_csv="a.mp4 1\n")
    overrides = ["DATA.LABEL_PATH_TEMPLATE", "list_{}.txt", "DATA.RANDOM_FLIP", False]
    for is_applied in (True, False):
        cfg = config("sth", tmp_path, *overrides, "DATA.APPLY_ROTATION", is_applied)
        assert build_list(cfg, "train").open_source.keywords["apply_rotation"] is is_applied
    assert build_list(config("kinetics", tmp_path), "train").open_source is VideoReader
    opener = build_list(config("kinetics", tmp_path, "DATA.APPLY_ROTATION", False), "train").open_source
    assert opener.func is VideoReader and opener.keywords == {"apply_rotation": False}


def test_ucf101_frame_folders_follow_the_separator(tmp_path: Path):
    write(tmp_path, train_dot_txt="a b,12,3\n", test_dot_txt="c,5,0\n")
    cfg = config("ucf101", tmp_path, "DATA.LABEL_PATH_TEMPLATE", "{}.txt", "DATA.PATH_LABEL_SEPARATOR", ",")
    assert build_dataset(cfg, "train").records == [VideoRecord("a b", 3, num_frames=12)]
    assert build_dataset(cfg, "val").records == build_dataset(cfg, "test").records == [VideoRecord("c", 0, 5)]


@pytest.mark.parametrize("version", [1, 2])
def test_the_validation_list_of_something_something_has_either_name(tmp_path: Path, version: int):
    """The published folders say "validation"; V2's has a list without labels of its test videos beside it."""
    cfg = config("sth", tmp_path, "DATA.LABEL_PATH_TEMPLATE", f"somesomev{version}_rgb_{{}}_split.txt")
    published = tmp_path / f"somesomev{version}_rgb_validation_split.txt"
    published.write_text("c 5 1\n")
    (tmp_path / f"somesomev{version}_rgb_test_split.txt").write_text("d 5\n")
    assert build_dataset(cfg, "val").records == build_dataset(cfg, "test").records == [VideoRecord("c", 1, 5)]

    ours = tmp_path / f"somesomev{version}_rgb_val_split.txt"
    ours.write_text("c 5 1\n")
    assert build_dataset(cfg, "val").records == [VideoRecord("c", 1, 5)]
    ours.write_text("c 5 2\n")
    told = f"{tmp_path}: {ours.name} and {published.name} are both its val list, but differ; remove one"
    for split in ("val", "test"):
        with pytest.raises(UserError, match=f"^{re.escape(told)}$"):
            build_dataset(cfg, split)


def test_sth_never_tests_on_a_test_list(tmp_path: Path):
    write(tmp_path, somesomev1_rgb_val_split_dot_txt="c 5 1\n", somesomev1_rgb_test_split_dot_txt="d 5 0\n")
    assert build_dataset(config("sth", tmp_path), "test").records == [VideoRecord("c", 1, 5)]


def test_a_list_that_serves_for_another_split_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write(tmp_path, test_dot_csv="a.avi 1\n")
    with caplog.at_level("INFO"):
        build_dataset(config("ucf101_video", tmp_path), "val")
    assert "there is no val.csv; test.csv serves for val, too" in caplog.text
    # Elsewhere a checkpoint is never chosen by the test list.
    with pytest.raises(UserError, match=r"val.csv: no such list file"):
        build_dataset(config("kinetics", tmp_path), "val")
    (tmp_path / "test.csv").rename(tmp_path / "val.csv")
    with caplog.at_level("INFO"):
        build_dataset(config("kinetics", tmp_path), "test")
    assert "there is no test.csv; val.csv serves for test, too" in caplog.text


def test_frames_of_a_folder_reach_the_clip(tmp_path: Path):
    write_frames(tmp_path / "v1", 12, "img_{:05d}.jpg", first_number=300)
    write(tmp_path, train_dot_txt="v1 12 3\n", val_dot_txt="v1 9 3\n")
    cfg = load_config(
        CONFIGS / "sthv2.yaml",
        [
            *("DATA.PATH_TO_DATA_DIR", str(tmp_path), "DATA.PATH_PREFIX", str(tmp_path), "DATA.NUM_FRAMES", 4),
            *("DATA.LABEL_PATH_TEMPLATE", "{}.txt", "DATA.TEST_CROP_SIZE", 16, "NUM_GPUS", 0),
        ],
    )
    dataset = build_dataset(cfg, "val")
    assert dataset.lists[0].open_source.func is FrameFolderReader
    sample = dataset[SampleKey(0, 0)]
    numbers = [number_of(frame) for frame in sample.views[0].permute(1, 2, 3, 0).numpy()]
    # Nine frames, as the list says, and none beyond; frame 0 is file 1.
    assert numbers == [300 + idx for idx in sparse_indices(9, 4, 0)] and sample.label == 3
    assert isinstance(build_dataset(cfg, "train")[SampleKey(0, 0)], Sample)


# What is checked on loading

FRAMES, SPANS = "folder num_frames label", "path total_s start_s end_s label"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("sth", "a 10 3\nb 3\n", f":2: expected '{FRAMES}', found 'b 3'"),
        ("sth", "a 10\n", f":1: expected '{FRAMES}', found 'a 10'"),
        ("sth", "a ten 3\n", ":1: num_frames 'ten' of 'a ten 3' is not an integer"),
        ("sth", "a 0 3\n", ":1: num_frames 0 of 'a 0 3' is not at least 1"),
        ("sth", "a 10 3.5\n", ":1: label '3.5' of 'a 10 3.5' is not an integer"),
        ("sth", "a 10 5\n", ":1: label 5 is outside [0, 5); mend the list or set MODEL.NUM_CLASSES"),
        ("sth", "a,10,3\n", "it looks separated by a comma: the lists of this data set need a space"),
        ("hmdb", "a;10;3\n", "it looks separated by a semicolon: the lists of this data set need a space"),
        ("ucf101", "a\t10\t3\n", "it looks separated by a tab: set DATA.PATH_LABEL_SEPARATOR $'\\t'"),
        ("anet", "a 10 3\n", f":1: expected '{SPANS}', found 'a 10 3'"),
        ("anet", "a.mp4 10 1 3 2\nb.mp4 10 3 3 2\n", ":2: end_s 3 of 'b.mp4 10 3 3 2' is not after start_s 3"),
        ("hacs", "b.mp4 10 4.5 3.5 2\n", ":1: end_s 3.5 of 'b.mp4 10 4.5 3.5 2' is not after start_s 4.5"),
        ("anet", "b.mp4 10 -1 3 2\n", ":1: start_s -1 of 'b.mp4 10 -1 3 2' is outside [0, total_s 10)"),
        ("anet", "b.mp4 10 10 13 2\n", ":1: start_s 10 of 'b.mp4 10 10 13 2' is outside [0, total_s 10)"),
        ("anet", "b.mp4 0 0 1 2\n", ":1: total_s 0 of 'b.mp4 0 0 1 2' is not above 0"),
        ("anet", "b.mp4 10 x 1 2\n", ":1: start_s 'x' of 'b.mp4 10 x 1 2' is not a number of seconds"),
        ("anet", "b.mp4 10 nan 1 2\n", ":1: start_s 'nan' of 'b.mp4 10 nan 1 2' is not a number of seconds"),
        ("anet", "b.mp4 10 0 1 5\n", ":1: label 5 is outside [0, 5)"),
        ("anet", "b.mp4,10,0,1,4\n", "it looks separated by a comma: set DATA.PATH_LABEL_SEPARATOR ','"),
        ("kinetics", "b.mp4;4\n", "it looks separated by a semicolon: set DATA.PATH_LABEL_SEPARATOR ';'"),
        ("mit", "", ":1: the list is empty; expected lines of the form 'path label'"),
    ],
)
def test_a_bad_list_is_an_error_that_names_file_and_line(tmp_path: Path, name: str, text: str, message: str):
    write(tmp_path, train_dot_csv=text)
    cfg = config(name, tmp_path, "DATA.LABEL_PATH_TEMPLATE", "{}.csv", "DATA.RANDOM_FLIP", False)
    with pytest.raises(UserError, match=re.escape(message)) as error:
        build_dataset(cfg, "train")
    assert re.match(re.escape(str(tmp_path / "train.csv")) + r":\d+: ", str(error.value))


@pytest.mark.parametrize("name", sorted(set(DATASET_REGISTRY.names()) - {"folder", "sth_video"}))
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_missing_list_is_named_with_the_key(tmp_path: Path, name: str, split: str):
    with pytest.raises(UserError, match=rf"{tmp_path}/.*: no such list file; set DATA.PATH_TO_DATA_DIR"):
        build_dataset(config(name, tmp_path, "DATA.RANDOM_FLIP", False), split)


def test_an_untrimmed_path_may_hold_the_separator(tmp_path: Path):
    write(tmp_path, train_dot_csv="v 1 of 2.mp4 10 0.25 12.5 4\n")
    assert build_dataset(config("anet", tmp_path), "train").records == [
        VideoRecord("v 1 of 2.mp4", 4, total_s=10.0, start_s=0.25, end_s=12.5)
    ]


# Flips


@pytest.mark.parametrize("name", ["sth", "sth_video"])
def test_flips_that_change_the_class_are_refused_unless_allowed(tmp_path: Path, name: str):
    write(tmp_path, somesomev1_rgb_train_split_dot_txt="a 9 1\n", somesomev1_rgb_val_split_dot_txt="a 9 1\n")
    write_official(tmp_path)
    with pytest.raises(UserError, match=r"DATA.RANDOM_FLIP is True.*set DATA.RANDOM_FLIP False, or DATA.ALLOW_LABEL"):
        build_dataset(config(name, tmp_path), "train")
    build_dataset(config(name, tmp_path), "val")
    build_dataset(config(name, tmp_path, "DATA.RANDOM_FLIP", False), "train")
    dataset = build_dataset(config(name, tmp_path, "DATA.ALLOW_LABEL_CHANGING_FLIP", True), "train")
    assert dataset.transform.flip_prob == 0.5


# Something-Something V2 from its official files

LABELS = {"Holding something": "4", "Pushing something from left to right": "1"}
VIDEOS = [
    {"id": "78687", "label": "holding a pen", "template": "Holding [something]", "placeholders": ["pen"]},
    {"id": "42", "label": "", "template": "Pushing [something] from left to right", "placeholders": []},
]


def write_official(folder: Path, names: str = "{}.json", indent: int | None = 1) -> Path:
    for part, content in {"labels": LABELS, "train": VIDEOS, "validation": VIDEOS[1:]}.items():
        path = folder / names.format(part)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=indent))
    return folder


@pytest.mark.parametrize("names", ["{}.json", "something-something-v2-{}.json", "labels/{}.json"])
def test_official_json_files_are_read_without_lists(tmp_path: Path, names: str):
    write_official(tmp_path, names)
    cfg = config("sth_video", tmp_path, "DATA.RANDOM_FLIP", False, "DATA.PATH_PREFIX", "/webm")
    train = build_dataset(cfg, "train")
    assert train.records == [VideoRecord("/webm/78687.webm", 4), VideoRecord("/webm/42.webm", 1)]
    assert train.lists[0].open_source.func is ResampledReader and train.lists[0].sampler.func is sparse_indices
    assert build_dataset(cfg, "val").records == build_dataset(cfg, "test").records == [VideoRecord("/webm/42.webm", 1)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"Holding [something]"',
            '"Juggling [something]"',
            ":5: template 'Juggling [something]' of video 78687 is not",
        ),
        ('"id": "42",', "", ":10: expected an entry with 'id' and 'template', but 'id' is missing"),
        ("]\n", "", "is the file complete?"),
        ("[\n {", "{\n {", ":1: expected a JSON list"),
    ],
)
def test_a_bad_official_file_is_an_error_that_names_file_and_line(tmp_path: Path, old: str, new: str, message: str):
    write_official(tmp_path)
    text = (tmp_path / "train.json").read_text() + "\n"
    assert old in text
    head, _, tail = text.rpartition(old)
    (tmp_path / "train.json").write_text("\n\n\n" * message.startswith(":5") + head + new + tail)
    with pytest.raises(UserError, match=re.escape(message)) as error:
        build_dataset(config("sth_video", tmp_path, "DATA.RANDOM_FLIP", False), "train")
    assert re.match(re.escape(str(tmp_path / "train.json")) + r":\d+: ", str(error.value))


def test_official_videos_are_read_at_the_rate_of_the_published_frames(tmp_path: Path):
    """A file of 12 frames per second, and its frames as they are with the key at 0."""
    write_official(tmp_path)
    write_video(tmp_path / "78687.mp4", 8, fps=12).rename(tmp_path / "78687.webm")

    def num_frames(*overrides: object) -> int:
        cfg = config("sth_video", tmp_path, "DATA.PATH_PREFIX", str(tmp_path), "DATA.RANDOM_FLIP", False, *overrides)
        videos = build_list(cfg, "train")
        with open_video(videos.open_source, videos.records[0]) as video:
            return video.num_frames

    assert (num_frames(), num_frames("DATA.STH_VIDEO_FPS", 24), num_frames("DATA.STH_VIDEO_FPS", 0)) == (20, 16, 8)
    with pytest.raises(UserError, match=r"DATA.STH_VIDEO_FPS is -1.0; accepted: at least 0"):
        config("sth_video", tmp_path, "DATA.STH_VIDEO_FPS", -1)


def test_official_labels_out_of_range_and_missing_files_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"has none of labels.json, something-something-v2-labels.json"):
        build_dataset(config("sth_video", tmp_path), "val")
    write_official(tmp_path)
    with pytest.raises(UserError, match=r"train.json:2: label 4 is outside \[0, 3\)"):
        build_dataset(config("sth_video", tmp_path, "MODEL.NUM_CLASSES", 3), "train")


# A folder of class folders


def class_folders(root: Path) -> Path:
    for path in ("train/b/1.mp4", "train/b/0.AVI", "train/a/deep/2.webm", "train/a/notes.txt", "val/b/3.mp4"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    (root / "train/.cache").mkdir()
    return root


def test_a_folder_of_class_folders_needs_no_list(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    cfg = config("folder", class_folders(tmp_path), "MODEL.NUM_CLASSES", 2)
    train = [VideoRecord(f"{tmp_path}/train/{name}", label) for name, label in (("a/deep/2.webm", 0), ("b/0.AVI", 1))]
    assert build_dataset(cfg, "train").records == [*train, VideoRecord(f"{tmp_path}/train/b/1.mp4", 1)]
    # Labels are those of the training folders, even where a split lacks classes.
    assert build_dataset(cfg, "val").records == [VideoRecord(f"{tmp_path}/val/b/3.mp4", 1)]
    with caplog.at_level("INFO"):
        assert build_dataset(cfg, "test").records == build_dataset(cfg, "val").records
    assert "there is no test; val serves for test, too" in caplog.text
    assert build_class_names(cfg) == ["a", "b"]


def test_a_file_of_class_names_orders_the_class_folders(tmp_path: Path):
    class_folders(tmp_path)
    (tmp_path / "classes.txt").write_text("b\nc\na\n")
    names = ("DATA.CLASS_NAMES_FILE", str(tmp_path / "classes.txt"), "MODEL.NUM_CLASSES", 3)
    cfg = config("folder", tmp_path, *names)
    assert [record.label for record in build_dataset(cfg, "train").records] == [0, 0, 2]
    assert build_class_names(cfg) == ["b", "c", "a"]


def test_mistakes_with_class_folders_are_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"DATA.PATH_TO_DATA_DIR '.*none': is no folder; expected one with the folders"):
        build_dataset(config("folder", tmp_path / "none"), "train")
    with pytest.raises(UserError, match=r"DATA.PATH_TO_DATA_DIR '': is no folder"):
        build_dataset(config("folder", Path(), "DATA.PATH_TO_DATA_DIR", ""), "train")
    with pytest.raises(UserError, match=r"/train: cannot list the class folders: No such file"):
        build_dataset(config("folder", tmp_path), "train")
    class_folders(tmp_path)
    with pytest.raises(UserError, match=r"has 2 classes \(a, b\), but MODEL.NUM_CLASSES is 5; set MODEL.NUM_CLASSES 2"):
        build_dataset(config("folder", tmp_path), "train")
    two = config("folder", tmp_path, "MODEL.NUM_CLASSES", 2)
    (tmp_path / "val" / "bb").mkdir()
    with pytest.raises(UserError, match=r"/val/bb: is not one of the 2 classes; the nearest is 'b'"):
        build_dataset(two, "val")
    (tmp_path / "test" / "a").mkdir(parents=True)
    with pytest.raises(UserError, match=r"/test: its class folders hold no video; accepted: \.3gp, \.avi"):
        build_dataset(two, "test")


# Configs and published experiments


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_configs_of_the_data_sets_load_and_name_their_classes(path: Path):
    cfg = load_config(path)
    assert cfg.TRAIN.DATASET in DATASET_REGISTRY and cfg.TEST.DATASET == cfg.TRAIN.DATASET
    if path.stem != "moving_digits":
        assert cfg.DATA.CLASS_NAMES_FILE in label_list_names()
        assert len(build_class_names(cfg)) == cfg.MODEL.NUM_CLASSES
    tells_left_from_right = path.stem.startswith(("moving_digits", "sth"))
    assert tells_left_from_right != cfg.DATA.RANDOM_FLIP


def mended(name: str, keys: dict[str, object]) -> dict[str, object]:
    """The published keys, but the names of data sets that did not exist or did not fit their lists."""
    for dataset in ("anet", "hacs"):
        if f"_{dataset}" in name:
            return keys | {"TRAIN.DATASET": dataset, "TEST.DATASET": dataset}
    return keys


PUBLISHED = published_experiments()


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_experiment_builds_its_data_sets(tmp_path: Path, name: str):
    keys = mended(name, PUBLISHED[name]) | {"DATA.PATH_TO_DATA_DIR": str(tmp_path), "DATA.PATH_PREFIX": "/data"}
    cfg = load_config(None, flat_overrides(keys))
    last = cfg.MODEL.NUM_CLASSES - 1
    for split in ("train", "val", "test"):
        if cfg.TRAIN.DATASET in ("sth", "hmdb"):
            path, row = tmp_path / cfg.DATA.LABEL_PATH_TEMPLATE.format(split), f"video 9 {last}\n"
        elif cfg.TRAIN.DATASET in ("anet", "hacs"):
            path, row = tmp_path / f"{split}.csv", f"video 9.5 1.5 2 {last}\n"
        else:
            path, row = tmp_path / f"{split}.csv", f"video{cfg.DATA.PATH_LABEL_SEPARATOR}{last}\n"
        path.write_text(row)
    for split in ("train", "val", "test"):
        (record,) = build_dataset(cfg, split).records
        assert record[:2] == ("/data/video", last)


# Names and rows of the authors' lists, by data set; {} is a label. Four of them come without a test list.
THREE = ("train.csv", "val.csv", "test.csv")
UPSTREAM_LISTS = {
    "k400": (THREE, "abseiling/0wR5jVB-WPk.mp4,{}"),
    "k600": (THREE, "0wR5jVB-WPk_000417_000427.mp4,{}"),
    "k700": (THREE, "k700/val/0wR5jVB-WPk.mp4,{}"),
    "k710": (THREE, "k400/train/0wR5jVB-WPk.mp4,{}"),
    "mit": (THREE, "training/clapping/getty-one-two_0.mp4,{}"),
    "anet": (THREE, "v_0wR5jVB-WPk.mp4 55.13 0.2 31.5 {}"),
    "hacs": (THREE, "clapping/v_0wR5jVB-WPk.mp4 55.13 0.2 31.5 {}"),
    "sthv1": (("somesomev1_rgb_train_split.txt", "somesomev1_rgb_validation_split.txt"), "100218 42 {}"),
    "sthv2": (("somesomev2_rgb_train_split.txt", "somesomev2_rgb_validation_split.txt"), "78687 117 {}"),
    "hmdb51": (("train.txt", "val.txt"), "Best_FACE_SLAP_EVER!!_(1993)_hit_u_cm_np1_ri_bad_2 35 {}"),
    "ucf101": (("train.csv", "val.csv"), "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi {}"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_experiment_starts_from_a_folder_of_the_authors_lists(tmp_path: Path, name: str):
    (dataset,) = (part for part in name.split("_") if part in UPSTREAM_LISTS)
    files, row = UPSTREAM_LISTS[dataset]
    overrides = ("DATA.PATH_TO_DATA_DIR", str(tmp_path), "DATA.PATH_PREFIX", "/data")
    cfg = load_config(CONFIGS.parents[1] / "exp" / name / "config.yaml", overrides)
    last = cfg.MODEL.NUM_CLASSES - 1
    for file in files:
        (tmp_path / file).write_text(row.format(0) + "\n" + row.format(last) + "\n")

    for split in ("train", "val", "test"):
        records = build_dataset(cfg, split).records
        path = "/data/" + row.replace(",", " ").split()[0]
        assert [(record.path, record.label) for record in records] == [(path, 0), (path, last)]
        is_frames, is_untrimmed = files[0].endswith(".txt"), dataset in ("anet", "hacs")
        assert {record.num_frames for record in records} == {int(row.split()[1]) if is_frames else None}
        assert {record.span for record in records} == {(55.13, 0.2, 31.5) if is_untrimmed else None}


def test_the_published_names_that_do_not_exist_are_refused(tmp_path: Path):
    cfg = load_config(None, flat_overrides(PUBLISHED["uniformerv2_l14_16x224_anet"]))
    with pytest.raises(UserError, match=r"TEST.DATASET is 'ant'; accepted: .* the nearest is 'anet'"):
        build_dataset(cfg, "test")


def test_a_flip_key_of_another_type_is_refused():
    with pytest.raises(UserError, match=r"DATA\.ALLOW_LABEL_CHANGING_FLIP takes a bool"):
        load_config(None, ["DATA.ALLOW_LABEL_CHANGING_FLIP", "perhaps"])


def test_videos_of_every_kind_of_list_are_read(tmp_path: Path):
    write_video(tmp_path / "v.mp4", 8, first_number=40)
    write(tmp_path, train_dot_csv="v.mp4 1\n", val_dot_csv="v.mp4 10 0 10 1\n")
    sizes = ("DATA.TEST_CROP_SIZE", 16, "DATA.PATH_PREFIX", str(tmp_path))
    view = build_dataset(config("anet", tmp_path, *sizes), "val")[SampleKey(0, 0)].views[0]
    assert [number_of(frame) for frame in view.permute(1, 2, 3, 0).numpy()] == [
        40 + idx for idx in sparse_indices(8, 4, 0)
    ]
