"""tools/compare_runs.py: what it prints, and its exit status."""

import runpy
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "compare_runs.py"


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """Folders with one line of metrics and no checkpoint."""
    folders = {name: tmp_path / name for name in ("one", "same", "other")}
    for name, folder in folders.items():
        folder.mkdir()
        loss = 2.0 if name == "other" else 1.0
        (folder / "metrics.jsonl").write_text(f'{{"kind": "train", "step": 1, "loss": {loss}}}\n')
    return folders


@pytest.mark.parametrize(
    ("other", "status", "out", "err"),
    [
        ("same", 0, "identical: 1 lines of metrics and 0 checkpoints\n", ""),
        (
            "other",
            1,
            "metrics: step 1 (train): loss is 1.0 in the first run and 2.0 in the second, differs by 1 (relative 0.5); "
            "1 of 1 lines differ\n",
            "",
        ),
        ("one", 2, "", "error: {}: this run is given twice; give the OUTPUT_DIR of two\n"),
    ],
)
def test_the_exit_status_tells_what_was_found(
    other: str,
    status: int,
    out: str,
    err: str,
    runs: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(sys, "argv", [str(TOOL), str(runs["one"]), str(runs[other])])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert (stop.value.code, *capsys.readouterr()) == (status, out, err.format(runs[other]))
