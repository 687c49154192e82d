"""Stacks: one YAML a stack, one loader."""
