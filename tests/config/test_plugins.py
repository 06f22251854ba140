"""Code from outside: when it is imported, what of it is told, and that nothing but the user names it."""

import hashlib
import multiprocessing
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from slowfast.config import load_config
from slowfast.config import plugins as plugins_module
from slowfast.config.plugins import PicklesWithPlugins, describe_plugins, import_plugins, loaded_plugins
from slowfast.errors import UserError
from tests.registration import registrations_kept

COUNTER = "import sys\nsys.plugin_counter = getattr(sys, 'plugin_counter', 0) + 1\n"


@pytest.fixture(autouse=True)
def plugins_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test imports is gone after it."""
    monkeypatch.setattr(plugins_module, "_LOADED", {})
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        if name.startswith("slowfast_plugin_"):
            del sys.modules[name]
    sys.__dict__.pop("plugin_counter", None)


def test_a_file_is_imported_once_and_told_with_its_hash(write: Callable[..., str]):
    path = write(COUNTER, "counter.py")
    digest = hashlib.sha256(COUNTER.encode()).hexdigest()
    for _ in range(2):
        assert [path] == load_config(None, plugins=[path]).PLUGINS
    assert sys.plugin_counter == 1
    assert loaded_plugins() == {path: digest}
    assert describe_plugins() == [f"plugin {path}, SHA-256 {digest}"]


def test_a_config_names_files_beside_it_and_its_dump_names_them_anywhere(write, tmp_path, monkeypatch):
    path = write(COUNTER, "code/counter.py")
    base = write("PLUGINS: [code/counter.py]\n", "base.yaml")
    cfg = load_config(write("_BASE_: ../base.yaml\n", "deeper/config.yaml"))
    assert [path] == cfg.PLUGINS and sys.plugin_counter == 1
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert [path] == load_config(write(cfg.dump(), "elsewhere/resolved.yaml")).PLUGINS
    assert load_config(base, ["PLUGINS", []]).PLUGINS == []  # the last one counts, as of any key


def test_what_a_file_registers_is_there_before_the_rest_is_merged(write):
    text = "from slowfast.config.ignored_keys import IGNORED_KEYS\nIGNORED_KEYS['TOY.OLD'] = 'no effect'\n"
    with registrations_kept():
        load_config(write("TOY: {OLD: 1}\nPLUGINS: [toy.py]\n"), plugins=[write(text, "toy.py")])


def test_a_config_that_is_not_the_users_own_runs_nothing(write):
    path = write(COUNTER, "counter.py")
    config = write("NUM_GPUS: 0\nPLUGINS: [counter.py]\n")
    with pytest.raises(UserError) as error:
        load_config(config, may_import=False)
    told = "PLUGINS names code to run, in a config that is not yours"
    assert str(error.value) == f"{config}:2: {told}; read it, and if you trust it give --plugins {path}"
    assert not hasattr(sys, "plugin_counter")
    assert [path] == load_config(write("NUM_GPUS: 0\n"), plugins=[path], may_import=False).PLUGINS


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("x = 1\nimport no_such_module\n", ":2", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def f():\n    raise KeyError('a')\nf()\n", ":2", "KeyError: 'a'"),
        ("x = (\n", ":1", "SyntaxError: '(' was never closed"),
        ("raise RuntimeError\n", ":1", "RuntimeError: no message"),
        ("import sys\nsys.exit()\n", ":2", "SystemExit: no message"),  # else a run ends well that never began
        ("import sys\nsys.exit(3)\n", ":2", "SystemExit: 3"),
    ],
)
def test_an_error_in_a_file_is_one_line_with_its_place(write, text, place, message):
    path = write(text, "wrong.py")
    with pytest.raises(UserError) as error:
        load_config(None, plugins=[path])
    assert str(error.value) == f"{path}{place}: {message}"
    assert loaded_plugins() == {}
    with pytest.raises(UserError):  # and it is not half there for the next one
        load_config(None, plugins=[path])


def test_files_that_cannot_be_imported_are_told(write, tmp_path):
    with pytest.raises(UserError, match=rf"^--plugins {tmp_path}/none\.py: cannot be read: No such file"):
        load_config(None, plugins=[f"{tmp_path}/none.py"])
    with pytest.raises(UserError, match=r"^--plugins ~nobody-of-that-name/a\.py: cannot be read: No such file"):
        load_config(None, plugins=["~nobody-of-that-name/a.py"])
    with pytest.raises(UserError, match=r"^--plugins '.*a\\x00\.py': cannot be read: embedded null byte$"):
        load_config(None, plugins=[f"{tmp_path}/a\0.py"])
    with pytest.raises(
        UserError, match=r"nul\.yaml:1: PLUGINS has a NUL character, which no name has: \['a\\x00\.py'\]$"
    ):
        load_config(write('PLUGINS: ["a\\0.py"]\n', "nul.yaml"))
    with pytest.raises(UserError, match=r"code\.txt: accepted: files of Python code, which end in \.py$"):
        load_config(None, plugins=[write("x = 1", "code.txt")])
    config = write("PLUGINS: 3\n")
    with pytest.raises(UserError, match=r"config\.yaml:1: PLUGINS takes a list, each item a str"):
        load_config(config)


def test_a_file_that_changed_meanwhile_is_told(write):
    path = write(COUNTER, "counter.py")
    import_plugins([path])
    write(COUNTER + "# changed\n", "counter.py")
    with pytest.raises(UserError, match=r"counter\.py: has changed since it was imported; start the program again"):
        import_plugins([path])


def test_a_file_that_imports_itself_is_told(write):
    text = "from slowfast.config.plugins import import_plugins\nimport_plugins([{!r}])\n"
    one, other = (write("", name) for name in ("one.py", "other.py"))
    write(text.format(other), "one.py"), write(text.format(one), "other.py")
    with pytest.raises(UserError) as error:
        import_plugins([one])
    led = f"{one}:2: UserError: {other}:2: UserError:"
    assert str(error.value) == f"{led} {one} imports itself; leave that to --plugins"
    write(COUNTER, "other.py")
    import_plugins([one])  # the circle is gone, and so is what it left
    assert [other, one] == list(loaded_plugins())


def test_two_files_of_one_name_are_two_modules(write):
    one, other = write("VALUE = 1\n", "a/code.py"), write("VALUE = 2\n", "b/code.py")
    import_plugins([one, other])
    values = [module.VALUE for name, module in sys.modules.items() if name.startswith("slowfast_plugin_code_")]
    assert sorted(values) == [1, 2]


def test_a_file_under_several_paths_is_one(write, tmp_path):
    path = write(COUNTER, "a/counter")
    (tmp_path / "link.py").symlink_to(path)
    (tmp_path / "other.py").symlink_to(tmp_path / "link.py")
    config = write("PLUGINS: [link.py, other.py]\n")
    assert [path] == load_config(config, plugins=[str(tmp_path / "a" / ".." / "link.py")]).PLUGINS
    assert sys.plugin_counter == 1


def test_what_runs_is_what_the_hash_is_of(write, monkeypatch):
    """Python takes bytecode for that of a file of the same second and length."""
    path = write("VALUE = 1\n", "value.py")
    time = Path(path).stat().st_mtime_ns
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for value in (1, 2):
        monkeypatch.setattr(plugins_module, "_LOADED", {})
        write(f"VALUE = {value}\n", "value.py")
        os.utime(path, ns=(time, time))
        import_plugins([path])
        (module,) = (module for name, module in sys.modules.items() if name.startswith("slowfast_plugin_value_"))
        assert value == module.VALUE and module.__file__ == path


class Holder(PicklesWithPlugins):
    def __init__(self, value: object) -> None:
        self.value = value


def _tell_value(holder: Holder) -> int:
    return holder.value.number


@pytest.mark.slow
def test_objects_of_its_classes_reach_processes_that_have_not_imported_it(write):
    path = write("class Number:\n    def __init__(self, number):\n        self.number = number\n", "number.py")
    import_plugins([path])
    module = next(module for name, module in sys.modules.items() if name.startswith("slowfast_plugin_number_"))
    assert _in_a_new_process(_tell_value, Holder(module.Number(7))) == 7
    write("raise RuntimeError('somebody edits it')\n", "number.py")
    assert _in_a_new_process(_tell_value, Holder(module.Number(8))) == 8


@pytest.mark.slow
def test_a_file_may_have_any_name(write):
    text = "class Number:\n    def __init__(self, number):\n        self.number = number\n"
    names = ("my.model.v2.py", 'it\'s "mine"\n.py', "-größer.py", os.fsdecode(b"\xff.py"))
    paths = import_plugins([write(text, name) for name in names])
    plugins = [module for name, module in sys.modules.items() if name.startswith("slowfast_plugin_")]
    modules = [module for module in plugins if module.__file__ in paths]  # not those of other tests
    assert len(modules) == len(names)
    assert _in_a_new_process(_add_values, Holder([module.Number(7) for module in modules])) == 7 * len(names)


def _add_values(holder: Holder) -> int:
    return sum(number.number for number in holder.value)


def _in_a_new_process(function: Callable[[Holder], int], holder: Holder) -> int:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, holder).result(timeout=60)


def test_without_plugins_nothing_is_pickled_twice():
    assert Holder(1).__getstate__() == {"value": 1}
    assert pickle.loads(pickle.dumps(Holder(2))).value == 2


def test_the_command_line_takes_several(write, capsys):
    import argparse

    from slowfast.config import add_config_arguments, load_config_or_exit

    one, other = write("", "a.py"), write("", "b.py")
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    cfg = load_config_or_exit(parser.parse_args(["--plugins", one, "--plugins", other, "NUM_GPUS", "0"]))
    assert ([one, other], 0) == (cfg.PLUGINS, cfg.NUM_GPUS)
    with pytest.raises(SystemExit) as stop:
        load_config_or_exit(parser.parse_args(["--plugins", str(Path(one).with_name("c.py"))]))
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: --plugins ")
