"""From a source of readings to a dataset."""
