"""ZenML steps: each a thin call into the forecaster or the registry."""
