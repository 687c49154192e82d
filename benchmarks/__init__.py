"""Figures that the documents quote, each with a command that prints it."""
