"""Keys that name files or folders: the home folder is written out in each of them."""

import os
import re
from pathlib import Path

import pytest
from fvcore.common.config import CfgNode

from slowfast.config import load_config
from slowfast.config.load import flatten
from slowfast.config.paths import PATH_KEYS
from slowfast.config.sections import Section, register_section
from slowfast.errors import UserError
from tests.registration import registrations_kept

# Keys whose names look like paths, and which are none.
NO_PATHS = {"DATA.IMAGE_TEMPLATE", "MODEL.CHECKPOINT_NUM", "TRAIN.CHECKPOINT_PERIOD", "TRAIN.CHECKPOINT_SECONDS"}
FAMILY = {"UNIFORMER.PRETRAIN_NAME": ["MODEL.MODEL_NAME", "Uniformer"]}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def value_of(key: str, value: str) -> str:
    return dict(flatten(load_config(None, [*FAMILY.get(key, []), key, value])))[key]


def test_every_key_that_looks_like_a_path_is_one():
    named = {
        key
        for key, value in flatten(load_config())
        if re.search("FILE|DIR$|PATH|PREFIX|TEMPLATE|PRETRAIN|ORDER|CLASS_WEIGHTS", key)
    }
    others = {"DATA.CHANNEL_ORDER", "UNIFORMERV2.BACKBONE_DROP_PATH_RATE", "UNIFORMERV2.DROP_PATH_RATE"}
    others |= {"UNIFORMERV2.DROP_PATH_STYLE", "DATA.PATH_LABEL_SEPARATOR"} | NO_PATHS
    assert named - others == PATH_KEYS


@pytest.mark.parametrize("key", sorted(PATH_KEYS))
def test_the_home_folder_is_written_out(key: str, home: Path):
    assert value_of(key, "~/my {} files") == f"{home}/my {{}} files"
    assert value_of(key, "a/~/{}") == "a/~/{}" and value_of(key, "./~{}") == "./~{}"


def test_a_home_folder_in_a_file_and_behind_jit(home: Path, monkeypatch: pytest.MonkeyPatch):
    (home / "config.yaml").write_text("DATA: {PATH_TO_DATA_DIR: ~/lists}\nOUTPUT_DIR: '~'\n")
    cfg = load_config("~/config.yaml")
    assert (f"{home}/lists", str(home)) == (cfg.DATA.PATH_TO_DATA_DIR, cfg.OUTPUT_DIR)
    assert value_of("UNIFORMERV2.PRETRAIN", "jit:~/vit.pt") == f"jit:{home}/vit.pt"
    assert value_of("DATA.PATH_PREFIX", "~nobody_of_this_name/x") == "~nobody_of_this_name/x"
    # What is written out stays when the resolved config is loaded elsewhere.
    (home / "resolved.yaml").write_text(cfg.dump())
    monkeypatch.setenv("HOME", "/somebody/else")
    assert load_config(os.fspath(home / "resolved.yaml")) == cfg


def test_a_section_from_outside_names_its_paths(home: Path):
    with registrations_kept():
        defaults = CfgNode({"TEACHER": "", "NAME": ""})
        register_section(Section(name="MINE", defaults=defaults, paths=["MINE.TEACHER"]))
        cfg = load_config(None, ["MINE.TEACHER", "~/t.pth", "MINE.NAME", "~/t.pth"])
        assert (f"{home}/t.pth", "~/t.pth") == (cfg.MINE.TEACHER, cfg.MINE.NAME)
        with pytest.raises(UserError, match=r"section OTHER has no key OTHER.TEACHER"):
            register_section(Section(name="OTHER", defaults=CfgNode({"A": 1}), paths=["OTHER.TEACHER"]))
    assert "MINE.TEACHER" not in PATH_KEYS
