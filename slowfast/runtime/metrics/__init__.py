"""The metrics of a training: one interface, a file that has all of it, and other places that show the same."""
