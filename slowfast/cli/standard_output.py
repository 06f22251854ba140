"""Standard output: what it takes, and what becomes of a command whose output nobody reads or no disk holds."""

import json
import os
import select
import sys


def json_line(content: object) -> str:
    """JSON that standard output takes as it is: with its own escapes where characters have none in its encoding."""
    text = json.dumps(content, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(content)
    return text


def stop_printing() -> None:
    """Whoever reads standard output has had enough; Python would complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_unread() -> bool:
    """Whether standard output is a pipe whose reader is gone."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False
