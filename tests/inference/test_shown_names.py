"""A page without paths tells none."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from slowfast.config.load import flatten
from slowfast.evaluation.report_files import write_report
from slowfast.evaluation.scored_files import load_scored
from slowfast.inference.pages.report_content import write_page
from slowfast.inference.pages.shown_names import ShownNames
from tests.command_line import tiny_config
from tests.evaluation.finished_tests import made_up, write_test


def test_sentences_lose_paths_and_keep_the_rest():
    names = ShownNames(["/a b/x y.mp4"], has_paths=False)
    assert names.text("x y.mp4: no stream in /a b/x y.mp4", "/a b/x y.mp4") == "video 1: no stream in video 1"
    assert names.text("cannot open '/root of it/lib.so' or lib/x.so: gone") == "cannot open (a path) or (a path): gone"
    assert names.text("by its own class names") == "by its own class names"
    assert names.file("/secret/classes.txt") == "classes.txt" and names.file("runs/a/") == "a"
    assert ShownNames([], has_paths=True).text("in /a/b") == "in /a/b"


def test_a_page_without_paths_holds_no_folder(tmp_path: Path):
    secret = tmp_path / "secret folder"
    scores, labels = made_up(0, 12, 3, 0.5)
    paths = [str(secret / f"{row}.mp4") for row in range(12)]
    lacking = [(str(secret / "bad.mp4"), f"cannot open '{secret}/lib.so'"), ("rel/bad.mp4", "rel/bad.mp4 is odd")]
    setting = {"checkpoint": f"{secret}/best.pyth", "class_names": f"{secret}/names.txt"}
    setting["class_order"] = f"rows by MODEL.CHECKPOINT_CLASS_ORDER '{secret}/order.txt'"
    run = write_test(tmp_path / "run", scores, labels, paths=paths, failures=lacking, **setting)
    report, videos = load_scored(run)
    write_report(run / "test", replace(report, truncated=1, truncations=[(paths[0], f"{paths[0]} ends")]), videos)
    cfg = tiny_config(secret, secret / "run", "DATA.CLASS_NAMES_FILE", secret / "names.txt")
    values = {**dict(flatten(cfg)), "PLUGINS": ["plug.py"], "MODEL.WEIGHTS_DIR": "weights_folder"}
    keys = dict(ShownNames([], has_paths=False).settings(values))
    assert "secret" not in str(keys) and not {"PLUGINS", "MODEL.WEIGHTS_DIR", "OUTPUT_DIR"} & keys.keys()
    assert "SOLVER.BASE_LR" in keys
    (run / "test" / "config.yaml").write_text(
        json.dumps({"OUTPUT_DIR": str(secret), "DATA": {"PATH_PREFIX": str(secret)}, "LOG_PERIOD": 3})
    )
    page = write_page(run, output=tmp_path / "page.html", has_paths=False).read_text()
    assert "secret" not in page and "rel/" not in page and ".mp4" not in page and "lib.so" not in page
    assert "names.txt" in page and "LOG_PERIOD" in page and "video 12" in page
    assert asdict(report)["setting"]["checkpoint"] in write_page(run, output=tmp_path / "page.html").read_text()


def test_a_path_that_no_system_takes_has_no_frames(tmp_path: Path):
    scores, labels = made_up(0, 2, 2, 0.5)
    run = write_test(tmp_path / "run", scores, labels, paths=["a.mp4", "c.mp4"], kept="npz")
    archive = run / "test" / "scores.npz"
    with np.load(archive) as content:
        np.savez(archive, **{**dict(content), "paths": np.array(["a\0b.mp4", "c.mp4"])})
    (run / "test" / "config.yaml").write_text("LOG_PERIOD: 3\n")
    page = write_page(run, output=tmp_path / "page.html").read_text()
    assert page.count("its frames cannot be read") == 2
