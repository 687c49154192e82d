"""HTML reports for reviewers."""
