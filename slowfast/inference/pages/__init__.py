"""What the pages of tests and comparisons show."""
