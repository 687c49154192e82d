"""Pure forecasting logic: no orchestrator, no registry, no network but the readings' source."""
