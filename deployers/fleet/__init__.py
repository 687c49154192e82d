"""Rollouts that last: partitions of a fleet, waves with health gates between them, and the way back."""
