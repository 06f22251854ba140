"""uniformer compare, ensemble and merge-reports: what they print and write, and their exit status."""

import json
import os
import re
from pathlib import Path

import pytest
import torch

from slowfast.evaluation.report_files import ScoredVideos, write_scores
from tests.command_line import uniformer
from tests.evaluation.finished_tests import made_up, write_test
from tests.visualization.browser import data_of, needs_browser, opened

NAMES = ['<b>left</b> & "co"</script><script>alert(1)</script>', "größer", "e", "f"]
PATHS = [os.fsdecode(b"caf\xe9.mp4"), "<i>x</i>\n.mp4", *(f"{row}.mp4" for row in range(2, 60))]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two tests of 60 videos with odd names: of probabilities in an archive, and of raw scores in a table."""
    folder = tmp_path_factory.mktemp("compared")
    (scores, labels), (raw, _) = made_up(0, 60, 4, 0.6), made_up(1, 60, 4, 0.7, is_raw=True)
    raw[:2] = torch.tensor([0.0, 9.0, 0.0, 0.0])  # the first two videos flip
    scores[0], scores[1] = torch.tensor([0.9, 0.1, 0, 0]), torch.tensor([0.8, 0.2, 0, 0])
    return [
        write_test(folder / "a", scores, labels, paths=PATHS, names=NAMES),
        write_test(folder / "b", raw, labels, paths=PATHS, names=NAMES, combined="sum of scores", kept="csv"),
    ]


def test_it_says_what_differs(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture):
    assert uniformer("compare", *runs, "--json", tmp_path / "c.json", "--html", tmp_path / "c.html") == 0
    out, err = capsys.readouterr()
    content = json.loads((tmp_path / "c.json").read_text())
    assert err == "" and content["videos"] == 60 and content["schema_version"] == 1
    test = content["mcnemar"]
    assert f"right in A alone: {test['only_a']}, in B alone: {test['only_b']}; p = {test['p_value']:.2g}" in out
    top1 = content["figures"][0]
    assert f"{top1['difference']:+.2f} [{top1['interval'][0]:+.2f}, {top1['interval'][1]:+.2f}]" in out
    assert len(content["lost"]) == test["only_a"] and len(content["won"]) == test["only_b"]
    assert content["lost"][0]["path"] == PATHS[0] and "caf\\udce9.mp4" in out and "<i>x</i>\\n.mp4" in out
    assert "B is runs/a/checkpoint_best.pyth, 4 x 3 views of 8 frames (sparse) of 224 px, sum of scores" in out


def test_the_page_opens_nothing_and_names_are_text(runs: list[Path], tmp_path: Path):
    assert uniformer("compare", *runs, "--html", tmp_path / "c.html") == 0
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:)", page) and "url(" not in page and "@import" not in page
    assert "<b>left" not in page and "alert(1)</script>" not in page and "<i>x" not in page
    assert "&lt;i&gt;x&lt;/i&gt;\\n.mp4" in page


def test_the_page_has_the_numbers_of_the_text(runs: list[Path], tmp_path: Path):
    assert uniformer("compare", *runs, "--html", tmp_path / "c.html", "--json", tmp_path / "c.json") == 0
    rows = data_of((tmp_path / "c.html").read_text(encoding="utf-8"))["classes"]
    classes = json.loads((tmp_path / "c.json").read_text())["classes"]
    exact = [[row["difference"], row["a"], row["b"], *row["interval"]] for row in classes]
    assert [row[1:6] for row in rows] == [[round(figure, 1) for figure in row] for row in exact]


@needs_browser
@pytest.mark.slow
def test_a_browser_shows_it_without_errors(runs: list[Path], tmp_path: Path):
    assert uniformer("compare", *runs, "--html", tmp_path / "c.html", "--json", tmp_path / "c.json") == 0
    script = """
        document.querySelectorAll("#classes button")[1].click();
        document.getElementById("search").value = "größer";
        document.getElementById("search").dispatchEvent(new Event("input"));
    """
    document, console = opened(tmp_path / "c.html", tmp_path, script)
    assert console == ""
    body = re.search(r"<table id=\"classes\">.*?</table>", document, re.DOTALL)[0]
    assert body.count("<tr>") == 2 and "größer" in body  # the head and one class
    lost = len(json.loads((tmp_path / "c.json").read_text())["lost"])
    flips = re.search(r"<summary>Videos right in A alone.*?</table>", document, re.DOTALL)[0]
    assert flips.count("<tr>") == lost + 1


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_files_of_scores_alone_are_compared(kind: str, runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture):
    file = tmp_path / f"dump.{kind}"
    if kind == "csv":
        file.write_bytes((runs[1] / "test" / "predictions.csv").read_bytes())
    else:
        raw, labels = made_up(1, 60, 4, 0.7, is_raw=True)
        with file.open("wb") as content:
            write_scores(content, ScoredVideos(PATHS, labels, raw, raw, NAMES))
    assert uniformer("compare", runs[0], file) == 0
    out = capsys.readouterr().out
    assert "B is a file of scores, which does not tell what was tested" in out and "60 videos in both" in out
    assert uniformer("compare", runs[0] / "test" / "scores.npz", runs[1] / "test" / "predictions.csv") == 0
    assert "file of scores" not in capsys.readouterr().out  # the reports are beside them


def test_other_videos_are_refused_or_left_out(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture):
    scores, labels = made_up(0, 60, 4, 0.6)
    bad = [(PATHS[59], "gone")]
    fewer = write_test(tmp_path / "fewer", scores[:59], labels[:59], paths=PATHS[:59], names=NAMES, failures=bad)
    assert uniformer("compare", runs[0], fewer) == 2
    assert "1 only in" in capsys.readouterr().err
    assert uniformer("compare", runs[0], fewer, "--common") == 0
    out = capsys.readouterr().out
    assert "59 videos in both; left out: 1 that only A has, 0 that only B has" in out
    assert "B has no scores of 1 of its 60 videos, which count in no figure" in out


def test_mistakes_are_one_line(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "odd.npz").write_bytes(b"odd")
    for words, told in (
        ((runs[0], tmp_path), "has no report of a test"),
        ((runs[0], tmp_path / "odd.npz"), "odd.npz: is no file of scores"),
        ((runs[0], tmp_path / "none.csv"), "none.csv: cannot be read: No such file or directory"),
        ((*runs, "--html", "/dev/full/a"), "/dev/full"),
        ((*runs, "--json", "/dev/full/a"), "/dev/full"),
        ((*runs, "--json", runs[1] / "test" / "report.json"), "is a file of the test itself, which would be lost"),
        ((*runs, "--html", runs[0] / "test" / "scores.npz"), "is a file of the test itself, which would be lost"),
    ):
        assert uniformer("compare", *words) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("error: ") and told in err and err.count("\n") == 1


def test_an_ensemble_is_a_test_that_other_commands_take(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture
):
    out = tmp_path / "both"
    assert uniformer("ensemble", *runs, "--weights", 1, 3, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "over 60 scored videos (60 expected, 0 failed)" in printed
    assert "mean of the views' softmax, and of others: softmax of the mean scores of the views" in printed
    assert f"{runs[1]}: weight 0.75, top-1 " in printed and f"report: {out / 'test' / 'report.json'}" in printed
    assert uniformer("report", out, "--no_paths") == 0
    page = (out / "test" / "report.html").read_text(encoding="utf-8")
    assert "Test of weight 0.75" in page and str(runs[1]) not in page and "of various" not in page
    assert uniformer("compare", runs[0], out) == 0
    assert "B is ensemble of checkpoint_best.pyth, checkpoint_best.pyth, 4 x 3 views" in capsys.readouterr().out
    assert uniformer("ensemble", *runs, "--out", out) == 2
    assert "has the report of a test, which would be lost" in capsys.readouterr().err


def test_joined_parts_end_as_their_test_would(tmp_path: Path, capsys: pytest.CaptureFixture):
    scores, labels = made_up(0, 20, 2, 0.8)
    parts = [
        write_test(tmp_path / "1", scores[:9], labels[:9], paths=PATHS[:9]),
        write_test(tmp_path / "2", scores[9:], labels[9:], paths=PATHS[9:20]),
        write_test(tmp_path / "3", scores[:1], labels[:1], paths=["x.mp4"], failures=[("bad.mp4", "gone")]),
    ]
    assert uniformer("merge-reports", *parts[:2], "--out", tmp_path / "two") == 0
    assert "over 20 scored videos (20 expected, 0 failed)" in capsys.readouterr().out
    assert uniformer("merge-reports", *parts, "--out", tmp_path / "three") == 1
    out, err = capsys.readouterr()
    assert "over 21 scored videos (22 expected, 1 failed)" in out
    assert err == "error: 1 of 22 test videos have no scores\n"
    assert uniformer("merge-reports", parts[0], parts[0], "--out", tmp_path / "four") == 2
    assert "is the same test as" in capsys.readouterr().err
