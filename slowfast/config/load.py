"""The one way to a config: defaults, then ``_BASE_`` files, the file itself and overrides; validated and frozen."""

import difflib
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from fvcore.common.config import CfgNode

from slowfast.config.coerce import coerce, short
from slowfast.config.defaults import get_cfg
from slowfast.config.ignored_keys import ONLY_ACCEPTED, why_ignored
from slowfast.config.paths import expand_home
from slowfast.config.plugins import import_plugins
from slowfast.config.validate import validate
from slowfast.config.yaml_file import Entry, read_yaml
from slowfast.errors import UserError

logger = logging.getLogger(__name__)

BASE_KEY = "_BASE_"
PLUGINS_KEY = "PLUGINS"
COMMAND_LINE = "command line"
# Files that a config may be made of, each counted as often as it is named: bases that double are not read for hours.
MAX_FILES = 100


def load_config(
    path: str | os.PathLike | None = None,
    overrides: Sequence[Any] = (),
    *,
    allow_duplicate_keys: bool = False,
    plugins: Sequence[str] = (),
    may_import: bool = True,
) -> CfgNode:
    """Resolve a config.

    A file may name others under ``_BASE_``: one path or a list, relative to the file that names them. They are
    merged first, in the order given, so that later ones override earlier ones and the file overrides them all.
    The ``dump()`` of the result, loaded again, gives the same config.

    Files of code that ``PLUGINS`` names are imported before anything else is merged: the keys that they bring are then
    like ours.

    Args:
        path: YAML file; None or "" for the defaults alone.
        overrides: flat list of keys and values ``["SOLVER.BASE_LR", "1e-4", ...]``; values may be text, as on the
            command line, or Python objects. Of a key given twice the last counts.
        allow_duplicate_keys: of a key that a YAML mapping has twice with different values take the last.
        plugins: files of code to import, beside those of ``PLUGINS``.
        may_import: whether ``PLUGINS`` of the file is imported; False for a config that is not the user's own.

    Returns:
        The frozen config.

    Raises:
        UserError: one line on what is wrong: a file that is missing, no YAML, or its own base; an unknown key, a
            value of a wrong type, values that do not go together.
    """
    entries = _read_with_bases(os.path.expanduser(path), allow_duplicate_keys, []) if path else []
    entries += _override_entries(overrides)
    imported = import_plugins(_plugin_paths(entries, plugins, may_import=may_import))
    cfg = get_cfg()
    _merge(cfg, [entry for entry in entries if entry.key != PLUGINS_KEY])
    cfg.PLUGINS = imported
    validate(cfg)
    cfg.freeze()
    return cfg


def flatten(cfg: CfgNode, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Pairs of full dotted key and value of all leaves, in the tree's order."""
    for name, value in cfg.items():
        if isinstance(value, CfgNode):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def difference(cfg: CfgNode, other: CfgNode) -> CfgNode:
    """The part of ``cfg`` whose values are not those of ``other``, a config with the same keys."""
    result = CfgNode()
    for name, value in cfg.items():
        if isinstance(value, CfgNode):
            value = difference(value, other[name])
            if value:
                result[name] = value
        elif value != other[name]:
            result[name] = value
    return result


def _read_with_bases(
    path: str, allow_duplicate_keys: bool, files: list[str], chain: tuple[str, ...] = ()
) -> list[Entry]:
    """Entries of a file's bases, then its own; ``files`` were read before, and ``chain`` of them led here."""
    if chain and os.path.realpath(path) in map(os.path.realpath, chain):
        raise UserError(f"{BASE_KEY} runs in a circle: {' -> '.join((*chain, path))}")
    files.append(path)
    if len(files) > MAX_FILES:
        raise UserError(f"{files[0]}: {BASE_KEY} leads to more than {MAX_FILES} files ({' -> '.join((*chain, path))})")
    own = read_yaml(path, allow_duplicate_keys=allow_duplicate_keys)
    entries = []
    for entry in own:
        if entry.key == BASE_KEY:
            for base in _base_paths(path, entry):
                entries += _read_with_bases(base, allow_duplicate_keys, files, (*chain, path))
    return entries + [_from_folder_of(path, entry) for entry in own if entry.key != BASE_KEY]


def _from_folder_of(path: str, entry: Entry) -> Entry:
    """An entry as the file at ``path`` means it: the plugins that it names stand beside it."""
    if entry.key != PLUGINS_KEY:
        return entry
    folder = os.path.dirname(os.path.abspath(path))
    _refuse_no_name(entry)
    names = coerce(PLUGINS_KEY, entry.value, [], entry.where)
    return entry._replace(value=[os.path.join(folder, os.path.expanduser(name)) for name in names])


def _plugin_paths(entries: Sequence[Entry], plugins: Sequence[str], *, may_import: bool) -> list[str]:
    """The files of code to import: of ``PLUGINS`` the last entry counts, as of any key."""
    named = [entry for entry in entries if entry.key == PLUGINS_KEY][-1:]
    paths = [path for entry in named for path in coerce(PLUGINS_KEY, entry.value, [], entry.where)]
    if paths and not may_import:
        remedy = f"read it, and if you trust it give --plugins {' --plugins '.join(paths)}"
        raise UserError(f"{named[0].where}: {PLUGINS_KEY} names code to run, in a config that is not yours; {remedy}")
    return [*paths, *plugins]


def _base_paths(path: str, entry: Entry) -> list[str]:
    names = [entry.value] if isinstance(entry.value, str) else entry.value
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise UserError(f"{entry.where}: {BASE_KEY} takes a file name or a list of them, not {short(entry.value)}")
    bases = []
    for name in names:
        if "\0" in name:
            raise UserError(f"{entry.where}: {BASE_KEY} has a NUL character, which no path may have: {short(name)}")
        base = os.path.normpath(os.path.join(os.path.dirname(path), os.path.expanduser(name)))
        if not os.path.isfile(base):
            raise UserError(f"{entry.where}: {BASE_KEY} names {name}, but there is no file {base}")
        bases.append(base)
    return bases


def _override_entries(overrides: Sequence[Any]) -> list[Entry]:
    if len(overrides) % 2:
        counted = f"{len(overrides)} words, the last one {short(overrides[-1])}"
        raise UserError(f"{COMMAND_LINE}: overrides are pairs KEY VALUE, but there are {counted}")
    for key in overrides[::2]:
        if not isinstance(key, str):
            raise UserError(f"{COMMAND_LINE}: a key was expected, not {short(key)}; overrides are pairs KEY VALUE")
        if key.startswith("--"):
            raise UserError(f"{COMMAND_LINE}: a key was expected, not {key}; options go before the pairs KEY VALUE")
    return [Entry(key, value, COMMAND_LINE) for key, value in zip(overrides[::2], overrides[1::2], strict=True)]


def _merge(cfg: CfgNode, entries: Sequence[Entry]) -> None:
    """Write entries into ``cfg`` in order; name in one warning those that have no effect."""
    defaults = dict(flatten(cfg))
    sections = {key.rpartition(".")[0] for key in defaults} - {""}
    ignored: dict[str, str] = {}
    for entry in entries:
        if entry.key in defaults:
            _refuse_no_name(entry)
            value = coerce(entry.key, entry.value, defaults[entry.key], entry.where)
            _set(cfg, entry.key, expand_home(entry.key, value))
        elif entry.key in sections:
            _check_section(entry)
        elif reason := why_ignored(entry.key):
            _check_ignored(entry)
            ignored[entry.key] = reason
        else:
            _raise_unknown(entry, defaults)
    if ignored:
        told = "; ".join(f"{key} ({ignored[key]})" for key in sorted(ignored))
        logger.warning(f"config keys accepted without effect: {told}")


def _refuse_no_name(entry: Entry) -> None:
    """What no path and no name may have: a NUL, and half of a character; the system's own errors name no key."""
    items = entry.value if isinstance(entry.value, list | tuple) else [entry.value]
    for item in (item for item in items if isinstance(item, str)):
        if "\0" in item:
            raise UserError(f"{entry.where}: {entry.key} has a NUL character, which no name has: {short(entry.value)}")
        try:
            os.fsencode(item)
        except UnicodeEncodeError:
            shown = short(entry.value)
            raise UserError(f"{entry.where}: {entry.key} has half of a character (a surrogate): {shown}") from None


def _set(cfg: CfgNode, full_key: str, value: Any) -> None:
    section, _, leaf = full_key.rpartition(".")
    setattr(cfg[section] if section else cfg, leaf, value)


def _check_ignored(entry: Entry) -> None:
    """Refuse a value of an ignored key that must not be ignored."""
    if entry.key in ONLY_ACCEPTED:
        accepted, reason = ONLY_ACCEPTED[entry.key]
        value = coerce(entry.key, entry.value, accepted, entry.where)
        if value != accepted:
            raise UserError(f"{entry.where}: {entry.key} is {value}; accepted: {accepted}; {reason}")


def _check_section(entry: Entry) -> None:
    """A section may be empty, but it takes no value of its own."""
    if entry.value == {}:
        return
    shown = "null" if entry.value is None else short(entry.value)
    raise UserError(f"{entry.where}: {entry.key} is a section of keys and takes no value itself, not {shown}")


def _raise_unknown(entry: Entry, defaults: dict[str, Any]) -> NoReturn:
    parts = entry.key.split(".")
    for depth in range(1, len(parts)):
        key = ".".join(parts[:depth])
        if key in defaults:
            default = short(defaults[key])
            raise UserError(f"{entry.where}: {key} takes one value (default {default}), but {entry.key} is given")
    if parts[0] == BASE_KEY:
        remedy = "works in files only" if entry.where == COMMAND_LINE else "takes a file name or a list of them"
        raise UserError(f"{entry.where}: {BASE_KEY} {remedy}")
    told = f"{entry.where}: unknown key {entry.key}; the nearest known key is {_nearest(entry.key, defaults)}"
    sections = {key.split(".")[0] for key in defaults if "." in key}
    if len(parts) > 1 and not difflib.get_close_matches(parts[0].upper(), sections):
        told += f"; if code from outside brings {parts[0]}, give it with --plugins"
    raise UserError(told)


def _nearest(key: str, known: dict[str, Any]) -> str:
    """The known key most like ``key``; those with the same last name come first."""
    leaf = key.rpartition(".")[2].upper()
    namesakes = [candidate for candidate in known if candidate.rpartition(".")[2] == leaf]
    return difflib.get_close_matches(key.upper(), namesakes or list(known), n=1, cutoff=0.0)[0]
