"""Validation of a cleaned dataset before training: conditions of our own and Deepchecks' integrity and drift checks."""

from forecaster.validation.config import ValidationConfig
from forecaster.validation.report import ValidationReport, validate

__all__ = ["ValidationConfig", "ValidationReport", "validate"]
