"""A bound on how long a call may take, even one that is stuck in C."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def call_within(timeout_s: float | None, function: Callable[..., T], *args: object) -> T:
    """Call a function and wait for its result no longer than ``timeout_s``; None waits for ever.

    The call runs in a thread of its own, since nothing else stops waiting for a decoder that loops or for a file that
    never answers: a signal's handler would wait for them, too. A call that is given up goes on in its thread and may
    still have effects, so whatever it works on must not be touched any more.

    Raises:
        TimeoutError: if there is no result in time.
        Exception: whatever the function raises.
    """
    if timeout_s is None:
        return function(*args)
    results: list[T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function(*args))
        except BaseException as error:
            errors.append(error)

    # A daemon, so that the process can end while a call is stuck.
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if errors:
        raise errors[0]
    if results:
        return results[0]
    raise TimeoutError(f"no result within {timeout_s:g} s")
