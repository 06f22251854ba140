"""The rules of the design that a program can check: levels, names, and where the config goes.

Everything is read from the syntax trees of the sources; nothing is imported but the defaults of the config.
"""

import ast
import graphlib
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from slowfast.config import get_cfg
from slowfast.config.load import flatten

ROOT = Path(__file__).parents[1]
LEVELS = {
    "errors": -1,  # beneath level 0, whose packages raise its class
    "config": 0,
    "runtime": 0,
    "datasets": 1,
    "models": 1,
    "solver": 1,
    "evaluation": 1,
    "visualization": 1,
    "launch": 2,
    "engine": 2,
    "inference": 3,
    "benchmarks": 4,
    "probing": 4,
    "demo": 4,
    "cli": 5,
    "tools": 6,
}
# (module, what it imports inside a function) -> why not at its top.
LATE_IMPORTS = {
    (
        "slowfast.runtime.metrics.tensorboard",
        "torch.utils.tensorboard",
    ): "takes seconds, and few runs write TensorBoard curves",
    ("slowfast.datasets.reading.backends", "decord"): "optional: another decoder",
    ("slowfast.datasets.reading.backends", "torchcodec.decoders"): "optional: another decoder",
    ("slowfast.benchmarks.loading_speed", "decord"): "optional: what is compared with",
    ("slowfast.benchmarks.loading_speed", "torchcodec"): "optional: what is compared with",
    ("slowfast.benchmarks.loading_speed", "torchcodec.decoders"): "optional: what is compared with",
    ("slowfast.benchmarks.loading_speed", "timm.data.auto_augment"): "what is compared with; takes seconds",
    ("slowfast.evaluation.intervals", "scipy.stats"): "takes a second, and not all that imports it tests",
    ("slowfast.evaluation.calibration", "scipy.optimize"): "the same",
    ("slowfast.evaluation.classes", "scipy.sparse"): "the same",
    ("slowfast.models.weights.timm_models", "timm"): "optional: image ViTs other than CLIP's",
    ("slowfast.models.weights.timm_models", "timm.models"): "optional: image ViTs other than CLIP's",
}
BANNED_NAMES = {"utils", "util", "misc", "helper", "helpers", "common"}
BANNED_ENDINGS = ("_co", "_special")
# Functions of level 1 that the config may come to; they may hand it on to functions that take it first.
CONFIG_DOORS = ("build_", "_build_", "from_config", "pretrained_source", "_load_")
MUTATING_METHODS = {
    *(
        "defrost",
        "merge_from_file",
        "merge_from_list",
        "merge_from_other_cfg",
        "set_new_allowed",
        "register_deprecated_key",
    ),
    *("append", "extend", "insert", "remove", "sort", "reverse"),
    *("update", "setdefault", "pop", "popitem", "clear", "__setitem__", "__setattr__"),
}
# The functions under slowfast/config that use values rather than check them.
READERS_IN_CONFIG = {("slowfast.config.uniformerv2", "vit_size")}

# Keys that only restate others -> where their value comes from.
RESTATED_KEYS = {
    "UNIFORMERV2.N_LAYERS": "the length of UNIFORMERV2.RETURN_LIST, which the rules of the config check",
    "UNIFORMERV2.N_DIM": "the width of UNIFORMERV2.BACKBONE, which the rules of the config check",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def modules() -> dict[str, ast.Module]:
    """Syntax trees of all modules of the package and the tools, by full name; a package's is that of __init__."""
    trees = {}
    for path in sorted(chain((ROOT / "slowfast").rglob("*.py"), (ROOT / "tools").rglob("*.py"))):
        parts = path.relative_to(ROOT).with_suffix("").parts
        trees[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text(), str(path))
    return trees


def package_of(module: str) -> str | None:
    """The package that a module belongs to, as LEVELS names it; None for slowfast itself and for strangers."""
    parts = module.split(".")
    if parts[0] == "tools":
        return "tools"
    return parts[1] if parts[0] == "slowfast" and len(parts) > 1 else None


def imports(tree: ast.AST, module: str) -> Iterator[str]:
    """Full names that a tree imports; for ``from a import b`` that is a.b, which may be a module or a thing in a."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # relative, from a module that is no package
                base = ".".join([*module.split(".")[: -node.level], *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


# Levels


def forbidden_imports(tree: ast.AST, module: str) -> list[str]:
    own = package_of(module)
    level = -1 if own is None else LEVELS[own]
    targets = {name: package_of(name) for name in imports(tree, module)}
    return [
        name
        for name, package in targets.items()
        if package is not None and package != own and LEVELS.get(package, -1) >= level and package in LEVELS
    ]


def test_every_package_has_a_level():
    packages = {path.name for path in (ROOT / "slowfast").iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert packages <= LEVELS.keys()
    loose = {path.name for path in (ROOT / "slowfast").glob("*.py")}
    assert loose == {"__init__.py", "errors.py"}


def test_imports_go_to_lower_levels_or_stay_in_the_package():
    wrong = {module: forbidden_imports(tree, module) for module, tree in modules().items()}
    assert {module: names for module, names in wrong.items() if names} == {}


@pytest.mark.parametrize(
    ("module", "line", "is_allowed"),
    [
        ("slowfast.datasets.build", "from slowfast.runtime import distributed", True),
        ("slowfast.datasets.build", "from slowfast.datasets.records import Batch", True),
        ("slowfast.datasets.build", "from slowfast.models import build_model", False),
        ("slowfast.datasets.build", "import slowfast.engine.train", False),
        ("slowfast.config.load", "from slowfast.runtime import log", False),
        ("slowfast.engine.train", "from slowfast.models import build_model", True),
        ("slowfast.engine.train", "from tools import run_net", False),
        ("slowfast.models.build", "from ..solver import loss", False),
        ("slowfast.models.build", "from .layers import DropPath", True),
        ("slowfast.engine.train", "from slowfast.launch.launch import launch", False),
        ("slowfast.launch.submission", "from slowfast.engine.run import run", False),
        ("slowfast.benchmarks.training_speed", "from slowfast.engine.step import take_step", True),
        ("slowfast.runtime.reproduce", "import slowfast", True),
        ("tools.run_net", "from slowfast.launch.launch import launch", True),
        ("slowfast", "from slowfast import config", False),
    ],
)
def test_the_check_of_levels_tells_right_from_wrong(module: str, line: str, is_allowed: bool):
    assert (forbidden_imports(ast.parse(line), module) == []) == is_allowed


def test_there_is_no_import_circle():
    known = modules()
    graph = {}
    for module, tree in known.items():
        names = set(imports(tree, module))
        graph[module] = {name if name in known else name.rpartition(".")[0] for name in names} & known.keys() - {module}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_imports_stand_at_the_top_but_for_optional_dependencies():
    late = {
        (module, name.rpartition(".")[0] if "." in name else name)
        for module, tree in modules().items()
        for function in functions(tree)
        for name in imports(function, module)
    }
    assert late - LATE_IMPORTS.keys() == set()
    assert LATE_IMPORTS.keys() - late == set(), "no longer there; take it off the list"


# Names


def test_every_loader_says_where_its_processes_come_from():
    """Left to PyTorch, they would be forked from a process that has threads."""
    calls = [
        node
        for path in (ROOT / "slowfast").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "DataLoader"
    ]
    assert calls
    for call in calls:
        (context,) = (keyword.value for keyword in call.keywords if keyword.arg == "multiprocessing_context")
        assert ast.unparse(context) in ("fork_server()", "fork_server() if num_workers > 0 else None")


def test_no_file_has_a_name_that_says_nothing():
    folders = ("slowfast", "tools", "tests", "exp", "configs")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    assert len(paths) > 50
    banned = [path for path in paths if path.stem in BANNED_NAMES or path.stem.endswith(BANNED_ENDINGS)]
    # train2.py beside train.py is a variant; uniformerv2.py and mmaction2.py are names.
    second = [path for path in paths if path.stem.endswith("2") and path.with_stem(path.stem.rstrip("2_")).exists()]
    assert [str(path.relative_to(ROOT)) for path in banned + second] == []


def test_experiments_are_short():
    limits = {"config.yaml": 25, "run.sh": 12, "test.sh": 12}
    lengths = {path: len(path.read_text().splitlines()) for name in limits for path in (ROOT / "exp").glob(f"*/{name}")}
    assert lengths
    assert {str(path): length for path, length in lengths.items() if length > limits[path.name]} == {}


def test_the_training_loop_stays_in_sight():
    (loop,) = (f for f in functions(modules()["slowfast.engine.train"]) if f.name == "train_epoch")
    assert loop.end_lineno - loop.lineno < 50


# The config


def config_path(node: ast.AST, aliases: dict[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """The path that an expression takes into the config: cfg.DATA.MEAN is (DATA, MEAN); None for other expressions.

    Args:
        node: an expression.
        aliases: paths that local names stand for.
    """
    if isinstance(node, ast.Name):
        return () if node.id == "cfg" else aliases.get(node.id)
    if isinstance(node, ast.Attribute):
        if node.attr == "cfg":  # run.cfg, self.cfg
            return ()
        base = config_path(node.value, aliases)
        return None if base is None else (*base, node.attr)
    if isinstance(node, ast.Subscript):
        base = config_path(node.value, aliases)
        name = node.slice.value if isinstance(node.slice, ast.Constant) else "?"
        return None if base is None else (*base, str(name))
    return None


def aliases_in(scope: ast.AST) -> dict[str, tuple[str, ...]]:
    """Local names for parts of the config: data = cfg.DATA, or keys, size = cfg.MODEL, vit_size(cfg)."""
    aliases: dict[str, tuple[str, ...]] = {}
    for node in ast.walk(scope):
        if not isinstance(node, ast.Assign):
            continue
        pairs = [(target, node.value) for target in node.targets]
        for target, value in list(pairs):
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs += zip(target.elts, value.elts, strict=False)
        for target, value in pairs:
            path = config_path(value, aliases)
            if isinstance(target, ast.Name) and path:
                aliases[target.id] = path
    return aliases


def writes_to_config(tree: ast.AST) -> list[int]:
    """Lines that assign to, delete from or otherwise change the config or a value in it."""
    lines = []
    for scope in [tree, *functions(tree)]:
        aliases = aliases_in(scope) if scope is not tree else {}
        for node in ast.walk(scope):
            changed: list[ast.AST] = []
            if isinstance(node, ast.Assign | ast.Delete):
                changed = [t.value for t in node.targets if isinstance(t, ast.Attribute | ast.Subscript)]
            elif isinstance(node, ast.AugAssign | ast.AnnAssign) and isinstance(
                node.target, ast.Attribute | ast.Subscript
            ):
                changed = [node.target.value]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                changed = [node.func.value] if node.func.attr in MUTATING_METHODS else []
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                changed = node.args[:1] if node.func.id in ("setattr", "delattr") else []
            if any(config_path(expression, aliases) is not None for expression in changed):
                lines.append(node.lineno)
    return sorted(set(lines))


def test_nothing_outside_its_package_changes_the_config():
    wrong = {module: writes_to_config(tree) for module, tree in modules().items() if package_of(module) != "config"}
    assert {module: lines for module, lines in wrong.items() if lines} == {}


@pytest.mark.parametrize(
    ("body", "is_allowed"),
    [
        ("lr = cfg.SOLVER.BASE_LR", True),
        ("self.cfg = cfg", True),
        ("mean = [*cfg.DATA.MEAN]; mean.append(1)", True),
        ("cfg.SOLVER.BASE_LR = 1", False),
        ("cfg.SOLVER.BASE_LR *= 2", False),
        ("cfg['NUM_GPUS'] = 1", False),
        ("del cfg.DATA", False),
        ("run.cfg.NUM_GPUS = 1", False),
        ("solver = cfg.SOLVER; solver.BASE_LR = 1", False),
        ("cfg.DATA.MEAN.append(1)", False),
        ("cfg.merge_from_list([])", False),
        ("setattr(cfg, 'NUM_GPUS', 1)", False),
        ("keys, n = cfg.DATA, 1; keys.MEAN[0] = 0", False),
    ],
)
def test_the_check_of_changes_tells_right_from_wrong(body: str, is_allowed: bool):
    assert (writes_to_config(ast.parse(f"def f(self, cfg, run):\n    {body}")) == []) == is_allowed


def config_takers(tree: ast.AST) -> dict[str, Function]:
    """Functions that have a parameter ``cfg``, by name."""
    found = {}
    for function in functions(tree):
        parameters = function.args
        if "cfg" in {a.arg for a in [*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs]}:
            found[function.name] = function
    return found


def calls_with_config(function: Function) -> set[str]:
    """Names of the functions that are called with ``cfg`` as the first argument."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and node.args]
    return {
        call.func.id if isinstance(call.func, ast.Name) else call.func.attr
        for call in calls
        if isinstance(call.args[0], ast.Name)
        and call.args[0].id == "cfg"
        and isinstance(call.func, ast.Name | ast.Attribute)
    }


def strays_of_config(trees: dict[str, ast.AST]) -> list[str]:
    """Where the config goes beyond the doors of a package: functions that take it, and places that keep it."""
    takers = {name: function for tree in trees.values() for name, function in config_takers(tree).items()}
    reached, waiting = set(), [name for name in takers if name.startswith(CONFIG_DOORS)]
    while waiting:
        name = waiting.pop()
        if name in takers and name not in reached:
            reached.add(name)
            waiting += calls_with_config(takers[name])
    strays = [name for name in takers if name not in reached]
    for name, function in takers.items():
        first = [a.arg for a in [*function.args.posonlyargs, *function.args.args] if a.arg not in ("self", "cls")][:1]
        if first != ["cfg"]:
            strays.append(f"{name}, which does not take cfg first")
    for module, tree in trees.items():
        for node in ast.walk(tree):
            is_kept = isinstance(node, ast.Attribute) and node.attr == "cfg"
            is_made = isinstance(node, ast.Name) and node.id == "cfg" and isinstance(node.ctx, ast.Store)
            if is_kept or is_made:
                strays.append(f"{module}:{node.lineno}")
    return strays


@pytest.mark.parametrize("package", [name for name, level in LEVELS.items() if level == 1])
def test_the_config_stops_at_the_doors_of_a_package(package: str):
    trees = {module: tree for module, tree in modules().items() if package_of(module) == package}
    assert strays_of_config(trees) == []


@pytest.mark.parametrize(
    ("source", "is_allowed"),
    [
        ("def build_x(cfg): return cfg.A", True),
        ("class X:\n    @classmethod\n    def from_config(cls, cfg): return cls(cfg.A)", True),
        ("def build_x(cfg): return sizes(cfg)\ndef sizes(cfg): return cfg.A", True),
        ("def sizes(cfg): return cfg.A", False),
        ("def build_x(model, cfg): return cfg.A", False),
        ("class X:\n    def __init__(self, cfg): self.a = cfg.A", False),
        ("class X:\n    def build_it(self, cfg): self.cfg = cfg", False),
        ("cfg = get_cfg()", False),
    ],
)
def test_the_check_of_doors_tells_right_from_wrong(source: str, is_allowed: bool):
    assert (strays_of_config({"module": ast.parse(source)}) == []) == is_allowed


def reads_of_config(tree: ast.AST) -> set[str]:
    """Full keys that a module reads; what a name stands for is followed within a function."""
    found = set()
    for scope in [tree, *functions(tree)]:
        aliases = aliases_in(scope) if scope is not tree else {}
        for node in ast.walk(scope):
            path = config_path(node, aliases)
            is_read = isinstance(getattr(node, "ctx", None), ast.Load)
            if path and is_read:
                found.add(".".join(path))
    return found


def test_every_key_is_read_somewhere():
    """A key that is checked and then has no effect would be a lie; ignored_keys.py is for those."""
    readers: list[ast.AST] = [tree for module, tree in modules().items() if package_of(module) != "config"]
    for module, name in READERS_IN_CONFIG:
        readers += [ast.Module([f], []) for f in functions(modules()[module]) if f.name == name]
    read = set().union(*map(reads_of_config, readers))
    unread = {key for key, _ in flatten(get_cfg())} - read
    assert RESTATED_KEYS.keys() <= unread, "read after all; take it off the list"
    assert sorted(unread - RESTATED_KEYS.keys()) == []


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ("return cfg.DATA.MEAN", {"DATA.MEAN"}),
        ("return run.cfg.NUM_GPUS", {"NUM_GPUS"}),
        ("data = cfg.DATA; return data.MEAN", {"DATA.MEAN"}),
        ("keys, size = cfg.DATA, 3; return keys['STD']", {"DATA.STD"}),
        ("return max(data.MEAN)", set()),
        ("message = 'DATA.MEAN'", set()),
        ("cfg.DATA.MEAN = 3", set()),
    ],
)
def test_the_check_of_reads_finds_keys(body: str, keys: set[str]):
    found = reads_of_config(ast.parse(f"def f(cfg, run):\n    {body}"))
    assert {key for key in found if key in dict(flatten(get_cfg()))} == keys
