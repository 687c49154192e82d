"""Formats that cross a hand-over: standard library only."""
