"""A model as a folder that says and proves what it is."""
