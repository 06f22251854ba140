"""The package works as a wheel in an empty folder, as an editable installation, and as a plain checkout."""

import os
import shutil
import site
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Python's -S leaves out what is installed; it comes back as plain folders, in which nothing editable is found.
PROGRAM = """
import site, sys
before = sys.path + sys.argv[2:]
site.addsitedir(sys.argv[1])  # its .pth files, too, as of an editable installation
sys.path[:] = [path for path in sys.path if path not in before] + before
import slowfast
from slowfast.cli.main import main
from slowfast.config.shipped import experiment_configs
from slowfast.datasets.labels import label_list_names
from slowfast.evaluation.published import load_published
from slowfast.inference.folder.model_card import read_template
print(slowfast.__file__)
print(len(experiment_configs()), len(label_list_names()), len(load_published()), len(read_template()))
print(*slowfast.list_models()[:1])
main(["config", "--cfg", str(experiment_configs()["uniformerv2_b16_8x224_k400"]), "--diff"])
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository: what is built and installed leaves traces beside the sources."""
    target = tmp_path_factory.mktemp("sources")
    names = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        if not name.startswith("tests/") and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    return target


def pip(*words: object) -> None:
    """Run pip, which must leave alone what is installed for these tests."""
    installed = [(found.name, found.version, found.locate_file("")) for found in distributions()]
    done = subprocess.run([sys.executable, "-m", "pip", *map(str, words)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert [(found.name, found.version, found.locate_file("")) for found in distributions()] == installed


def look(folder: Path, empty: Path) -> list[str]:
    """What a program in an empty folder finds: where the package is, how much comes with it, one config."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-S", "-c", PROGRAM, folder, *site.getsitepackages()]
    done = subprocess.run(command, cwd=empty, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_wheel_editable_and_checkout_find_the_same(sources: Path, tmp_path: Path):
    empty = tmp_path / "empty"
    empty.mkdir()
    expected = look(ROOT, empty)
    assert expected[0] == str(ROOT / "slowfast" / "__init__.py")

    pip("install", "--no-deps", "--quiet", "--target", tmp_path / "wheel", sources)
    assert not (sources / "slowfast" / "shipped").exists()
    found = look(tmp_path / "wheel", empty)
    assert found[0] == str(tmp_path / "wheel" / "slowfast" / "__init__.py")
    assert found[1:] == expected[1:]
    script = subprocess.run(
        [tmp_path / "wheel" / "bin" / "uniformer", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "wheel")},
    )
    assert script.stdout.startswith("uniformer-video ")

    # pip looks for what it replaces outside the prefix, too: without --ignore-installed it takes the package away from
    # the environment of these tests.
    editable = ("--prefix", tmp_path / "editable", "--editable", sources)
    pip("install", "--no-deps", "--quiet", "--ignore-installed", *editable)
    (site,) = (tmp_path / "editable").glob("lib/python*/site-packages")
    found = look(site, empty)
    assert found[0] == str(sources / "slowfast" / "__init__.py")
    assert found[1:] == expected[1:]
