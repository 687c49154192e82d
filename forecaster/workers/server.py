"""What the process that forks the workers imports: libraries and compiled kernels come to each with the fork."""

from forecaster.workers.environment import arithmetic

arithmetic()
