"""The command ``uniformer``: a file per subcommand, which parses its arguments and calls one function."""

import io
import os
import sys

# A descriptor that is closed would be the next file's that is opened, and what is printed would go there.
for _name, _mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
    if getattr(sys, _name) is None:
        setattr(sys, _name, open(os.devnull, _mode, encoding="utf-8"))  # noqa: SIM115

# Names of files that are not UTF-8, or that the terminal cannot show, are printed with escapes, as in errors.
if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors="backslashreplace")
