"""Everything that touches another machine: commands and files go through a connector, and through nothing else."""
