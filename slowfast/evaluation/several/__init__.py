"""Several tests: beside each other, averaged, or joined."""
