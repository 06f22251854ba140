"""The command ``uniformer``: a file per subcommand, which parses its arguments and calls one function."""
