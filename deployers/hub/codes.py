"""What our errors are over REST: a status of HTTP, and a word that programs read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployers import exceptions

if TYPE_CHECKING:
    from deployers.exceptions import DeployerError

# What an error of ours is to a client of REST: the first class that fits. `deployers.hub.client` reads it backwards.
ERRORS: tuple[tuple[type[DeployerError], int, str], ...] = (
    (exceptions.NotFound, 404, "not_found"),
    (exceptions.ReleaseError, 422, "not_a_release"),
    (exceptions.InputError, 422, "input"),
    (exceptions.DeploymentRunning, 409, "deployment_running"),
    (exceptions.RolledBack, 409, "rolled_back"),
    (exceptions.Conflict, 409, "conflict"),
    (exceptions.BoardRefused, 502, "refused_by_board"),
    (exceptions.GateFailed, 422, "gate_failed"),
    (exceptions.ConversionError, 422, "conversion"),
    (exceptions.MissingTool, 503, "missing_tool"),
    (exceptions.ServiceUnavailable, 503, "unavailable"),
)


def code_of(error: DeployerError) -> tuple[int, str]:
    """The status of HTTP and the code of one of our errors."""
    for kind, status, code in ERRORS:
        if isinstance(error, kind):
            return status, code
    return 500, "internal"
