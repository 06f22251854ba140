"""Temporal probes: what the order of the frames is worth to a model."""
