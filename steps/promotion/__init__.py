"""From a release to a registered version and its alias."""
