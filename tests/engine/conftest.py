"""One finished run that the tests of the engine share."""

from pathlib import Path

import pytest

from tests.command_line import Outcome, run_net, tiny_arguments


@pytest.fixture(scope="session")
def finished_run(video_set: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """OUTPUT_DIR of a run that trained four epochs and tested, and what it printed; tests must not change it."""
    output_dir = tmp_path_factory.mktemp("runs") / "finished run"
    return output_dir, run_net(*tiny_arguments(video_set, output_dir))
