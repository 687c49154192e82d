"""What the process that forks the workers imports: libraries and compiled kernels come to each with the fork."""

import forecaster.trials  # noqa: F401 - what a worker is sent with its first task
from forecaster.workers.environment import arithmetic

arithmetic()
