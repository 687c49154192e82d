"""Everything that runs outside ZenML; never imports zenml, steps, pipelines or forecaster."""
