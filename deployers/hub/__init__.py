"""The hub on the Jetson: keeps readings, forecasts, answers REST, and brings models to the boards behind it."""
