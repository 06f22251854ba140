"""The page of a finished test."""

import json
import re
import shutil
from pathlib import Path

import pytest

from slowfast.cli.main import main
from slowfast.evaluation.classes import class_name
from slowfast.inference.pages.report_content import write_page
from tests.command_line import run_net, tiny_arguments
from tests.evaluation.finished_tests import made_up, write_test
from tests.run_state import predictions
from tests.visualization.browser import data_of, needs_browser, opened

OWN = ("report.json", "predictions.csv", "config.yaml")
NAMES = ['<b>left</b> & "co"</script><script>alert(1)</script>', "größer"]


@pytest.fixture(scope="module")
def run(video_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose class names are no HTML, with a video that cannot be read."""
    folder = tmp_path_factory.mktemp("reported")
    lists = folder / "lists"
    shutil.copytree(video_set, lists)
    (lists / "names.txt").write_text("\n".join(NAMES) + "\n")
    with (lists / "test.csv").open("a") as file:
        file.write("none.mp4,0\n")
    overrides = ("DATA.CLASS_NAMES_FILE", lists / "names.txt", "SOLVER.MAX_EPOCH", 1)
    outcome = run_net(*tiny_arguments(lists, folder / "run", *overrides))
    assert outcome.code == 1 and "1 of 7 test videos could not be read" in outcome.err
    return folder / "run"


def page_of(run: Path, tmp_path: Path, *options: str) -> str:
    main(["report", str(run), "-o", str(tmp_path / "page.html"), *options])
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_it_shows_the_test(run: Path, tmp_path: Path):
    page = page_of(run, tmp_path)
    data = data_of(page)
    assert data["classes_in_order"] == NAMES and [row[0] for row in data["classes"]] == NAMES
    rows = predictions(run)
    assert data["videos"]["path"] == [row["path"] for row in rows]
    assert data["videos"]["predicted"] == [int(row["prediction"]) for row in rows]
    best = [max(float(row["probability_1"]), float(row["probability_2"])) for row in rows]
    assert data["videos"]["probability"] == pytest.approx(best, abs=5.1e-4)
    report = json.loads((run / "test/report.json").read_text())
    figures = [[row[name] for name in ("accuracy", "precision", "f1")] for row in report["classes"]]
    shown = [
        [row[data["columns"].index(name)] for name in ("Accuracy %", "Precision %", "F1 %")] for row in data["classes"]
    ]
    assert shown == [[None if figure is None else round(figure, 1) for figure in row] for row in figures]
    assert "6 of 7 videos scored; 1 could not be read" in page and "none.mp4" in page
    assert "Training" in page and page.count("<figure>") == 6 and page.count("data:image/jpeg") == 6
    assert "SOLVER.MAX_EPOCH" in page


def test_it_opens_nothing_and_names_are_text(run: Path, tmp_path: Path):
    page = page_of(run, tmp_path)
    assert not re.search(r"(src|href)=\"(?!data:)", page) and "url(" not in page and "@import" not in page
    assert "<b>left" not in page and "alert(1)</script>" not in page


def test_frames_and_paths_may_be_left_out(run: Path, tmp_path: Path):
    page = page_of(run, tmp_path, "--no_frames", "--no_paths")
    assert "data:image/jpeg" not in page and ".mp4" not in page and str(run) not in page
    assert data_of(page)["videos"]["path"] == [f"video {number}" for number in range(1, 7)]


def test_videos_that_are_gone_have_no_frames_and_the_page_says_so(run: Path, tmp_path: Path):
    copied = Path(shutil.copytree(run, tmp_path / "run"))
    for file in ("predictions.csv", "config.yaml"):
        path = copied / "test" / file
        path.write_text(path.read_text().replace(str(run.parent / "lists"), "/nowhere"))
    page = page_of(copied, tmp_path)
    assert page.count("its frames cannot be read: No such file or directory") == 6


def test_mistakes_are_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    own = [([run, "-o", run / "test" / name], "is a file of the test itself") for name in OWN]
    for words, told in (([tmp_path], "has no report of a test"), ([run, "-o", "/dev/full/a"], "/dev/full"), *own):
        with pytest.raises(SystemExit) as stop:
            main(["report", *map(str, words)])
        err = capsys.readouterr().err
        assert stop.value.code == 2 and err.startswith("error: ") and told in err and err.count("\n") == 1


@needs_browser
@pytest.mark.slow
def test_a_browser_shows_it_without_errors(run: Path, tmp_path: Path):
    page_of(run, tmp_path)
    script = """
        document.querySelector("#classes button").click();
        document.getElementById("search").value = "GRÖSSER".replace("SS", "ß");
        document.getElementById("search").dispatchEvent(new Event("input"));
        const box = canvas.getBoundingClientRect();
        canvas.dispatchEvent(new MouseEvent("click", {clientX: box.left + 1, clientY: box.bottom - 1}));
    """
    document, console = opened(tmp_path / "page.html", tmp_path, script)
    assert console == ""
    body = re.search(r"<table id=\"classes\">.*?</table>", document, re.DOTALL)[0]
    assert body.count("<tr>") == 2 and "größer" in body  # the head and one class
    chosen = re.search(r"<div id=\"chosen\">(.*?)</div>", document, re.DOTALL)[1]
    taken = [row for row in predictions(run) if (row["label"], row["prediction"]) == ("1", "0")]
    assert f"{class_name(NAMES, 1)} taken for &lt;b&gt;left" in chosen and chosen.count("<li>") == len(taken)


@pytest.mark.slow
def test_a_large_test_has_a_page_that_can_be_sent(tmp_path: Path):
    """700 classes, 20,000 videos; docs/report.md has the seconds."""
    names = [f"a name as long as those of Kinetics {label}" for label in range(700)]
    scores, labels = made_up(1, 20_000, 700, 0.8)
    paths = [f"validation/{names[label]}/{row:011d}_000010_000020.mp4" for row, label in enumerate(labels.tolist())]
    write_test(tmp_path, scores, labels, names=names, paths=paths)
    main(["report", str(tmp_path)])
    page = tmp_path / "test" / "report.html"
    assert page.stat().st_size < 10e6 and len(data_of(page.read_text())["videos"]["path"]) == 20_000


@needs_browser
@pytest.mark.slow
def test_names_from_right_to_left_and_long_ones_keep_lines_in_order(tmp_path: Path):
    scores, labels = made_up(0, 40, 4, 0.5)
    names = ["שלום", "\u202eabc", "x" * 300, "left"]
    page = write_page(write_test(tmp_path / "run", scores, labels, names=names), output=tmp_path / "page.html")
    script = """
        document.querySelector("#pairs button").click();
        document.querySelectorAll("#classes button")[2].click();
    """
    document, console = opened(page, tmp_path, script)
    assert console == ""
    lines = re.findall(r"<li><button>(.*?)</button>", document)
    assert any("\u2068שלום\u2069 taken for" in line for line in lines) and not any("x" * 60 in line for line in lines)
    assert all("\u202e" not in line.replace("\u2068\u202eabc\u2069", "") for line in lines)
    assert f'title="{names[2]}">{"x" * 59}…</td>' in document
    assert re.findall(r'aria-sort="(.*?)"><button>(.*?)</button>', document) == [("ascending", "Videos")]
