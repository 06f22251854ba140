"""The command ``uniformer``: a file per subcommand, which parses its arguments and calls one function."""

import io
import sys

# Names of files that are not UTF-8, or that the terminal cannot show, are printed with escapes, as in errors.
if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors="backslashreplace")
