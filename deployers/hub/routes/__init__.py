"""What the hub answers over REST, a module a subject; each has a `router`."""
