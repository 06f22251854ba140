"""A test beside the published one: made-up reports, and the figures that come with the package."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from slowfast.config.load import load_config
from slowfast.config.shipped import experiment_configs
from slowfast.errors import UserError
from slowfast.evaluation.published import DATA_SETS, compare, find_published, load_published, verify
from slowfast.evaluation.report import TestReport
from slowfast.evaluation.report_files import load_report
from tests.evaluation.finished_tests import SETTING

ROOT = Path(__file__).parents[2]
RESULTS = load_published()
AUTHORS = "https://pjlab-gvm-data.oss-cn-shanghai.aliyuncs.com/uniformerv2"
AS_TESTED = replace(
    SETTING,
    checkpoint="weights/k400_k710_uniformerv2_b16_8x224.pyth",
    data_set="kinetics_sparse",
    class_names="kinetics400_uniformer",
    class_order="all 400 rows as they are, by the order kinetics400_uniformer",
)
WHO = "UniFormerV2-B/16 on Kinetics-400, by its authors, known by name alone"
AS_PUBLISHED = ["4 x 3 views", "8 frames (sparse)", "224 px", "videos", "rgb", "sum of probabilities", "float32"]


def report(*, expected: int = 19_787, failed: int = 0, truncated: int = 0, **setting: object) -> TestReport:
    """Of a test that gave 85.44 %."""
    return TestReport(
        expected=expected,
        scored=expected - failed,
        failed=failed,
        top1=85.44,
        top5=97.0,
        failures=[("a.mp4", "bad")] * failed,
        truncated=truncated,
        truncations=[("b.mp4", "cut")] * truncated,
        setting=replace(AS_TESTED, **setting),
    )


def line(differs: str, *others: str) -> str:
    same = ", ".join(way for way in AS_PUBLISHED if way not in others)
    return f"{WHO}: published 85.6, measured 85.4 (-0.2); differs: {differs}; {same} as published"


def test_a_test_as_published_differs_in_nothing_known():
    assert verify(report()) == line("nothing known")


@pytest.mark.parametrize(
    ("changed", "differs", "others"),
    [
        ({"expected": 19_675}, "112 of 19,787 videos missing", []),
        ({"expected": 19_800}, "19,800 videos in place of 19,787", []),
        ({"failed": 3, "truncated": 1_200}, "3 of 19,787 unreadable, 1,200 truncated", []),
        ({"clips": 1}, "1 x 3 views in place of 4 x 3 views", AS_PUBLISHED[:1]),
        ({"frames": 16}, "16 frames (sparse) in place of 8 frames (sparse)", AS_PUBLISHED[1:2]),
        ({"sampling": "stride 4"}, "8 frames (stride 4) in place of 8 frames (sparse)", AS_PUBLISHED[1:2]),
        ({"size_px": 256}, "256 px in place of 224 px", AS_PUBLISHED[2:3]),
        ({"reads": "folders of frames"}, "folders of frames in place of videos", AS_PUBLISHED[3:4]),
        ({"channel_order": "bgr"}, "bgr in place of rgb", AS_PUBLISHED[4:5]),
        ({"combined": "sum of scores"}, "sum of scores in place of sum of probabilities", AS_PUBLISHED[5:6]),
        ({"precision": "bfloat16"}, "bfloat16 in place of float32", AS_PUBLISHED[6:]),
        ({"is_order_assumed": True}, "class order assumed", []),
        (
            {"expected": 19_786, "clips": 1},
            "1 of 19,787 videos missing, 1 x 3 views in place of 4 x 3 views",
            ["4 x 3 views"],
        ),
    ],
)
def test_what_differs_is_told(changed: dict, differs: str, others: list[str]):
    assert verify(report(**changed)) == line(differs, *others)


def test_a_test_without_a_scored_video_measured_nothing():
    empty = replace(report(expected=2, failed=2), top1=float("nan"))
    assert "published 85.6, measured nothing, for no video was scored; differs: 19,785 of" in verify(empty)


def test_how_many_videos_there_were_is_told_only_where_it_is_known():
    setting = replace(AS_TESTED, checkpoint="k600_uniformerv2_b16_8x224.pyth", class_names="kinetics600_uniformer")
    assert "published 85.0, measured 85.4 (+0.4); differs: nothing known" in verify(replace(report(), setting=setting))


@pytest.mark.parametrize(
    ("source", "experiment"),
    [
        ("k710/../k400_k710_uniformerv2_l14_64x336.safetensors", "uniformerv2_l14_64x336_k400_prek710"),
        ("weights/k400/k400+k710_uniformerv2_l14_16x224.pyth", "uniformerv2_l14_16x224_k400_prek710"),
        (f"{AUTHORS}/hacs/hacs_uniformerv2_l14_16x224.pyth#sha256=0123abcd", "uniformerv2_l14_16x224_hacs"),
        ("https://drive.google.com/file/d/1-jGZIIuTM5IYIpqkNTojhGhfMc7Gu9Kt/view?usp=sharing", "uniformer_s16x4_k400"),
        ("https://drive.google.com/uc?export=download&id=1-jGZIIuTM5IYIpqkNTojhGhfMc7Gu9Kt", "uniformer_s16x4_k400"),
        ("weights/uniformer_small_k400_16x4.pth", "uniformer_s16x4_k400"),
        ("uniformer_s16x4_ucf101_prek400.pth", "uniformer_s16x4_ucf101_prek400"),
        ("runs/uniformer_s16x4_k400/checkpoints/checkpoint_best.pyth", None),
        ("https://example.org/uniformer_s16x4_k400/model.pyth", None),
        ("", None),
    ],
)
def test_a_checkpoint_is_known_by_its_file_name_or_address(source: str, experiment: str | None):
    found = find_published(source)
    assert (found.experiment if found else None) == experiment


def test_no_name_stands_for_two_checkpoints():
    names = [name for result in RESULTS for name in result.names]
    assert len(set(names)) == len(names)
    assert all(find_published(result.address) is result for result in RESULTS if result.address)


# What cannot be compared


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"checkpoint": "weights/k400_uniformerv2_b16_8x22.pyth"},
            "weights/k400_uniformerv2_b16_8x22.pyth: is no published checkpoint by its name; the nearest are "
            "k400_uniformerv2_b16_8x224, ",
        ),
        (
            {"checkpoint": "k710_uniformerv2_b16_8x224.pyth"},
            "k710_uniformerv2_b16_8x224.pyth: was published without an accuracy, to start trainings from",
        ),
        (
            {"class_names": "mine.txt"},
            "weights/k400_k710_uniformerv2_b16_8x224.pyth: its published figure is of Kinetics-400, and this test of "
            "another data set: DATA.CLASS_NAMES_FILE 'mine.txt' with TEST.DATASET kinetics_sparse; accepted: "
            "kinetics400_uniformer or kinetics400_alphabetical",
        ),
        (
            {"checkpoint": "hacs_uniformerv2_l14_16x224.pyth", "class_names": "activitynet200", "data_set": "ANet"},
            "hacs_uniformerv2_l14_16x224.pyth: its published figure is of HACS, and this test of another data set: "
            "DATA.CLASS_NAMES_FILE 'activitynet200' with TEST.DATASET ANet; accepted: activitynet200 with TEST.DATASET "
            "hacs",
        ),
    ],
)
def test_what_says_nothing_about_a_published_figure_is_refused(changed: dict, message: str):
    with pytest.raises(UserError, match=re.escape(message)):
        verify(report(**changed))


def written(folder: Path, content: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_a_report_is_read_back_from_its_run_its_folder_or_its_file(tmp_path: Path):
    original = report(failed=1)
    folder = written(tmp_path / "test", asdict(original))
    for path in (tmp_path, folder, folder / "report.json"):
        assert verify(load_report(path)) == verify(original)
    nothing = {**asdict(original), "top1": None, "scored": 0}
    assert "measured nothing" in verify(load_report(written(tmp_path / "nothing", nothing)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "{}: has no report of a test; accepted: the OUTPUT_DIR of a finished test"),
        ("{", "{}/report.json: is no report of a test of this version; test again"),
        ([], "{}/report.json: is no report of a test of this version; test again"),
        ({"top1": 1.0}, "{}/report.json: is no report of a test of this version; test again"),
        ({"setting": {}}, "{}/report.json: is no report of a test of this version; test again"),
        ({"setting": None}, "{}/report.json: does not tell what was tested, as reports of older versions; test again"),
    ],
)
def test_what_is_no_report_is_one_line(content: object, message: str, tmp_path: Path):
    folder = tmp_path / "run"
    if content is not None:
        is_changed = isinstance(content, dict) and "setting" in content
        written(folder, {**asdict(report()), **content} if is_changed else content)
    with pytest.raises(UserError, match=re.escape(message.format(folder))):
        load_report(folder)


# The figures


def zoo_rows() -> Iterator[dict[str, str]]:
    """Rows of MODEL_ZOO.md's tables of results, by column, with the publisher."""
    publisher, columns = "", []
    for text in (ROOT / "MODEL_ZOO.md").read_text().splitlines():
        if heading := re.fullmatch(r"### UniFormer\w*, by (its authors|MMAction2)", text):
            publisher = heading[1]
        cells = [cell.strip() for cell in text.strip("|").split("|")]
        if not text.startswith("|"):
            columns = []
        elif not columns:
            columns = cells
        elif "top-1" in columns and not text.startswith("|-"):
            yield {"publisher": publisher, **dict(zip(columns, cells, strict=True))}


def views_of(row: dict[str, str]) -> tuple[int, int, int]:
    """Frames, crops, clips; 0 where there was no test."""
    if "frames x crops x clips" in row:
        numbers = row["frames x crops x clips"].split(" x ")
        return tuple(int(number) for number in (*numbers, 0, 0)[:3])
    frames = (row.get("frames") or row["frames x stride"]).partition(" ")[0]
    views = re.fullmatch(r"(\d+) clips x (\d+) crops?", row["views"])
    return (int(frames), int(views[2]), int(views[1])) if views else (int(frames), 0, 0)


def test_the_figures_are_those_of_the_model_zoo():
    told = []
    for row in zoo_rows():
        link = re.search(r"\[weights\]\((.+?)\)", row["address"])
        top1 = None if row["top-1"] == "-" else float(row["top-1"].removesuffix("\\*"))
        experiment = row.get("experiment", "").strip("`")
        told.append((row["publisher"], row["data set"], *views_of(row), top1, experiment, link[1] if link else ""))

    assert len(told) == 112
    assert sorted(told, key=str) == sorted(
        ((r.publisher, r.data_set, r.frames, r.crops, r.clips, r.top1, r.experiment, r.address) for r in RESULTS),
        key=str,
    )


@pytest.mark.parametrize("result", [r for r in RESULTS if r.experiment], ids=lambda result: result.experiment)
def test_a_result_was_measured_as_its_experiment_tests(result):
    """All but the views, which test.sh sets, and which tests/test_experiments.py compares with MODEL_ZOO."""
    cfg = load_config(experiment_configs()[result.experiment])
    is_dense = cfg.TEST.DATASET in ("kinetics", "hmdb")
    kind = "probabilities" if cfg.TEST.ADD_SOFTMAX else "scores"
    tested = replace(
        AS_TESTED,
        checkpoint=result.experiment,
        data_set=cfg.TEST.DATASET,
        class_names=cfg.DATA.CLASS_NAMES_FILE,
        reads="folders of frames" if cfg.TEST.DATASET in ("sth", "hmdb") else "videos",
        frames=cfg.DATA.NUM_FRAMES,
        sampling=f"stride {cfg.DATA.SAMPLING_RATE}" if is_dense else "sparse",
        size_px=cfg.DATA.TEST_CROP_SIZE,
        clips=result.clips,
        crops=result.crops,
        channel_order=cfg.DATA.CHANNEL_ORDER,
        combined=f"{cfg.DATA.ENSEMBLE_METHOD} of {kind}",
    )
    assert not cfg.TEST.MIXED_PRECISION
    if result.data_set == "Kinetics-710":
        assert result.top1 is None
        return
    assert result.unlike(tested) == ""
    told = compare(replace(report(expected=result.num_videos or 10), setting=tested), result)
    assert "differs: nothing known;" in told


def test_every_data_set_has_results():
    assert {result.data_set for result in RESULTS} == DATA_SETS.keys()
