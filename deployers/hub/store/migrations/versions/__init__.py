"""One script a revision, named after it; each runs once on a database, and is never changed afterwards."""
