"""Trains and scores the demo model: a small checkpoint in ModelScope's own architecture and folder format."""
