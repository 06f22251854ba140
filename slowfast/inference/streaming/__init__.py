"""Streams and long videos: frames as they come, windows of them, predictions over time."""
