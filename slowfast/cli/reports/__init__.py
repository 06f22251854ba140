"""Commands that test, and that read what tests have written."""
