"""tools/compare_runs.py: what it prints, and its exit status."""

from pathlib import Path

import pytest

from tests.command_line import Outcome, run_tool


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
def test_the_exit_status_tells_what_was_found(other: str, status: int, out: str, err: str, runs: dict[str, Path]):
    outcome = run_tool("compare_runs", runs["one"], runs[other])
    assert outcome == Outcome(status, out, err.format(runs[other]))
