"""Spatial transforms of clips."""
