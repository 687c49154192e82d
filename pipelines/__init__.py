"""The two pipelines: wiring and configuration only."""
