"""Every dependency has an oldest version, which is what CI tries."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "oldest_versions.py"


@pytest.fixture(scope="module")
def functions() -> dict:
    return runpy.run_path(str(SCRIPT))


def test_every_dependency_has_an_oldest_version(functions: dict):
    project = functions["PROJECT"].read_text(encoding="utf-8")
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True)
    pins = done.stdout.split()
    assert len(pins) == project.count('",', project.index("\ndependencies = "), project.index("[project.optional"))
    for pin in pins:
        name, _, version = pin.partition("==")
        assert f'"{name}>={version}"' in project


def test_bounds_are_read_as_they_stand(functions: dict):
    project = '[project]\ndependencies = [\n    "a>=1", # why\n    "b-c >= 0.1.5.post3, <2",\n]\n[other]\nx = ["y"]\n'
    assert functions["oldest_versions"](project) == ["a==1", "b-c==0.1.5.post3"]


@pytest.mark.parametrize("dependency", ["numpy", "numpy<3", "numpy>=1,>=2", "numpy==2.0"])
def test_a_dependency_without_a_lower_bound_is_refused(functions: dict, dependency: str):
    with pytest.raises(ValueError, match=rf"dependencies: {dependency}; accepted: one lower bound, numpy>=VERSION"):
        functions["oldest_versions"](f'dependencies = ["{dependency}"]')


def test_a_project_without_dependencies_is_refused(functions: dict):
    with pytest.raises(ValueError, match="0 lists of dependencies"):
        functions["oldest_versions"]("[project]\n")
