"""Frames out of files: video readers, frame folders, indexes and back ends."""
