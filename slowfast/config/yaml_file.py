"""One YAML file as a flat list of keys, values and the lines they stand on, with duplicate keys found.

PyYAML drops lines and takes the last of two equal keys without a word; both are known from its node tree.
"""

import logging
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from slowfast.config.coerce import short
from slowfast.errors import UserError

logger = logging.getLogger(__name__)

MAP_TAG = "tag:yaml.org,2002:map"
MERGE_TAG = "tag:yaml.org,2002:merge"
# Far more than a config needs; without bounds, a few lines of aliases ask for hours and all memory.
MAX_CHARACTERS = 1 << 16
MAX_VALUES = 100_000
MAX_KEY_LENGTH = 100
# What PyYAML raises for a scalar that is not of the kind that it looks like or that its tag names.
_SCALAR_ERRORS = (ValueError, TypeError, LookupError, AttributeError, OverflowError)


class Entry(NamedTuple):
    """A value for a full dotted key, and where it was given: ``file:line`` or ``command line``.

    The value of a section without keys is an empty dict.
    """

    key: str
    value: Any
    where: str


def read_yaml(path: str | os.PathLike, *, allow_duplicate_keys: bool = False) -> list[Entry]:
    """Read a YAML file of nested mappings with the safe loader.

    Args:
        path: the file, in UTF-8.
        allow_duplicate_keys: of a key given twice with different values take the last (with a warning) instead
            of raising.

    Returns:
        One entry for each leaf, in the file's order.

    Raises:
        UserError: if the file cannot be read, is not YAML or not a mapping, has such duplicate keys, or is larger than
            any config.
    """
    return parse_yaml(_read_text(path), path, allow_duplicate_keys=allow_duplicate_keys)


def parse_yaml(text: str, path: str | os.PathLike, *, allow_duplicate_keys: bool = False) -> list[Entry]:
    """Read the text of a YAML file, as ``read_yaml`` does.

    Args:
        text: nested mappings.
        path: the file, or what else messages call the text.
        allow_duplicate_keys: as there.
    """
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"{path}: has more than {MAX_CHARACTERS} characters, and no config is that long")
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return []
        if not isinstance(root, MappingNode):
            raise UserError(f"{path}:{_line(root)}: a config is a mapping of keys to values")
        _check_size(root, path)
        _check_duplicates(loader, root, prefix="", path=path, allow=allow_duplicate_keys, checked=set())
        return list(_entries(loader, root, prefix="", path=path))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = " ".join(filter(None, [error.context, error.problem]))
        raise UserError(f"{path}:{line}: not valid YAML: {' '.join(problem.split())}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError(f"{path}: not valid as a config: nested too deeply") from None


def _read_text(path: str | os.PathLike) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read(MAX_CHARACTERS + 1)
    except OSError as error:
        raise UserError(f"cannot read the config file {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read the config file {path}: it is not UTF-8 text ({error.reason})") from None
    except ValueError as error:  # a NUL in the name
        raise UserError(f"cannot read the config file {os.fspath(path)!r}: {error}") from None


def _check_size(root: Node, path: str | os.PathLike) -> None:
    """Count the values beneath a node as if each alias were written out, before anything writes them out.

    Raises:
        UserError: if there are too many, or a node contains itself.
    """
    sizes: dict[int, int | None] = {}  # None: its parts are still being counted

    def size_of(node: Node, name: str) -> int:
        if id(node) in sizes:
            if sizes[id(node)] is None:
                raise UserError(f"{path}:{_line(node)}: section {name} contains itself")
            return sizes[id(node)]
        sizes[id(node)] = None
        size = 1
        if isinstance(node, SequenceNode):
            size += sum(size_of(item, name) for item in node.value)
        elif isinstance(node, MappingNode):
            for key, value in node.value:
                key_name = str(key.value) if isinstance(key, ScalarNode) else ""
                size += size_of(key, name) + size_of(value, f"{name}.{key_name}" if name else key_name)
        if size > MAX_VALUES:
            raise UserError(
                f"{path}:{_line(node)}: holds more than {MAX_VALUES} values with its aliases (*) written out, and no "
                f"config is that large"
            )
        sizes[id(node)] = size
        return size

    size_of(root, "")


def _entries(loader: yaml.SafeLoader, node: MappingNode, *, prefix: str, path: str | os.PathLike) -> Iterator[Entry]:
    """Leaves beneath a mapping, after its merge keys (``<<``) and with the last of duplicate keys only."""
    loader.flatten_mapping(node)
    pairs = {_key_name(key, path): (key, value) for key, value in node.value}
    for name, (key, value) in pairs.items():
        if "." in name:
            section, _, leaf = (prefix + name).rpartition(".")
            raise UserError(f"{path}:{_line(key)}: key {name} has a dot; write {leaf} beneath section {section}")
        if isinstance(value, MappingNode) and value.value and value.tag == MAP_TAG:
            yield from _entries(loader, value, prefix=f"{prefix}{name}.", path=path)
        else:
            yield Entry(prefix + name, _construct(loader, value, path), f"{path}:{_line(key)}")


def _construct(loader: yaml.SafeLoader, node: Node, path: str | os.PathLike) -> Any:
    """The Python object of a node."""
    try:
        return loader.construct_object(node, deep=True)
    except _SCALAR_ERRORS as error:
        kind = node.tag.rpartition(":")[2]
        cause = f" ({' '.join(str(error).split())})" if type(error) is ValueError else ""
        shown = short(node.value) if isinstance(node, ScalarNode) else "what stands here"
        raise UserError(f"{path}:{_line(node)}: not valid YAML: {shown} is no {kind}{cause}") from None


def _check_duplicates(
    loader: yaml.SafeLoader,
    node: MappingNode,
    *,
    prefix: str,
    path: str | os.PathLike,
    allow: bool,
    checked: set[int],
) -> None:
    """Raise or warn for keys given twice in one mapping, innermost mappings first.

    Merge keys must not have been flattened yet: what they bring in may be overridden.
    """
    if id(node) in checked:
        return
    checked.add(id(node))
    first: dict[str, tuple[Node, Node]] = {}
    for key, value in node.value:
        if key.tag == MERGE_TAG:
            continue
        name = _key_name(key, path)
        if isinstance(value, MappingNode):
            inner = {"prefix": f"{prefix}{name}.", "path": path, "allow": allow, "checked": checked}
            _check_duplicates(loader, value, **inner)
        if name in first:
            _report_duplicate(loader, prefix + name, first[name], (key, value), path=path, allow=allow)
        first[name] = (key, value)


def _report_duplicate(
    loader: yaml.SafeLoader,
    full_key: str,
    first: tuple[Node, Node],
    second: tuple[Node, Node],
    *,
    path: str | os.PathLike,
    allow: bool,
) -> None:
    lines = [_line(key) for key, _ in (first, second)]
    values = [_construct(loader, value, path) for _, value in (first, second)]
    if yaml.safe_dump(values[0]) == yaml.safe_dump(values[1]):
        logger.warning(f"{path}:{lines[1]}: key {full_key} is given on line {lines[0]} too, with the same value")
        return
    told = f"{short(values[0])} on line {lines[0]} and {short(values[1])} on line {lines[1]}"
    if not allow:
        remedy = "keep one of them, or let the last one win with --allow_duplicate_keys"
        raise UserError(f"{path}:{lines[1]}: duplicate key {full_key}: {told}; {remedy}")
    logger.warning(f"{path}:{lines[1]}: duplicate key {full_key}: {told}; the last one wins")


def _key_name(key: Node, path: str | os.PathLike) -> str:
    """A key as it is written, whatever YAML makes of it (``NO`` is a bool to YAML 1.1)."""
    if not isinstance(key, ScalarNode) or not key.value.isprintable() or len(key.value) > MAX_KEY_LENGTH:
        raise UserError(f"{path}:{_line(key)}: a key must be a plain word")
    return key.value


def _line(node: Node) -> int:
    """1-based line on which a node starts."""
    return node.start_mark.line + 1
