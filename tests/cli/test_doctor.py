"""What the doctor looks at, and what it calls bad."""

import re
import subprocess
from pathlib import Path

import pytest

import slowfast
from slowfast.benchmarks import installation
from slowfast.cli.main import main


def told(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, dict[str, str]]:
    with pytest.raises(SystemExit) as stop:
        main(["doctor", *words])
    return stop.value.code, dict(re.split(r"\s{2,}", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())


def test_it_names_what_a_report_needs(capsys: pytest.CaptureFixture):
    code, found = told(capsys, "--no-self-test")
    assert list(found) == [
        *("slowfast", "package slowfast", "Python", "libraries", "FFmpeg in PyAV", "decoder decord"),
        *("decoder torchcodec", "SLURM", "GPUs", "cores", "disk here", "temporary files", "shared memory"),
    ]
    assert found["slowfast"].endswith(f"from {Path(slowfast.__file__).parent}")
    assert re.search(r"torch \d+\.\d+.*, av \d+", found["libraries"])
    assert code == any(line.startswith("BAD: ") for line in found.values())


def test_a_small_shared_memory_is_bad(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(installation, "free_shared_bytes", lambda: 64 << 20)
    code, found = told(capsys, "--no-self-test")
    assert code == 1
    assert found["shared memory"] == (
        "BAD: 0.1 GiB free; loading processes need more (docker run --shm-size 8g), or DATA_LOADER.NUM_WORKERS 0"
    )


def test_slurm_without_a_controller_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sinfo = tmp_path / "sinfo"
    sinfo.write_text("#!/bin/sh\necho 'sinfo: error: no controller' >&2\necho more >&2\nexit 1\n")
    sinfo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = {finding.name: finding for finding in installation.findings()}
    assert found["SLURM"].told.startswith("sinfo --version fails: sinfo: error: no controller; ")
    assert not found["SLURM"].is_bad


@pytest.mark.slow
def test_the_self_test_trains_and_tests():
    finding = installation.self_test()
    assert not finding.is_bad, finding.told
    assert re.fullmatch(r"videos written, two steps trained .*: \d+\.\d s", finding.told)


def test_a_self_test_that_fails_says_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(installation, "_RUN", "raise SystemExit('error: no codec')")
    finding = installation.self_test()
    assert finding.is_bad and finding.told == "failed with status 1: error: no codec"


@pytest.mark.slow
def test_a_self_test_without_an_end_is_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(installation, "_RUN", "import time; time.sleep(60)")
    monkeypatch.setattr(installation, "SELF_TEST_TIMEOUT_S", 1)
    assert "timed out" in installation.self_test().told


def test_a_command_without_an_answer_is_told(monkeypatch: pytest.MonkeyPatch):
    def no_answer(command: list[str], **_):
        raise subprocess.TimeoutExpired(command, 10)

    monkeypatch.setattr(installation.subprocess, "run", no_answer)
    assert "does not answer" in installation._answer(["sinfo", "--version"])
