"""One command of `python -m deployers` a file."""
