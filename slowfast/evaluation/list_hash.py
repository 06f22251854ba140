"""A hash of a list of videos that those of its parts add up to."""

import hashlib
import json
from collections.abc import Iterable, Sequence

_MODULUS = 2**256


def unordered_hash(rows: Iterable[Sequence[object]]) -> str:
    """The sum, modulo 2**256, of the SHA-256 of each row as JSON: 64 hexadecimal digits.

    It is that of the same rows in any order, as a test's figures are.

    Args:
        rows: path, label, and whatever else tells videos of a list apart; JSON values.
    """
    return _digits(int(hashlib.sha256(json.dumps(row).encode()).hexdigest(), 16) for row in rows)


def joined_hash(parts: Iterable[str]) -> str:
    """The hash of the list that these are the hashes of the parts of."""
    return _digits(int(part, 16) for part in parts)


def _digits(numbers: Iterable[int]) -> str:
    return f"{sum(numbers) % _MODULUS:064x}"
