"""Training and testing: assembles what the other packages build."""
