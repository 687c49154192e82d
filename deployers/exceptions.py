"""Every error the deployers and the hub raise on purpose.

DeployerError
├── InputError            what the user gave cannot be used (exit code 2)
│   ├── ReleaseError      a folder is no release, or not what its manifest says
│   └── NotFound          a thing that was named is not there (the hub answers 404)
├── Conflict              it cannot be done in the state things are in now (2; the hub answers 409)
├── GateFailed            no type within the fidelity budget, or a runtime beyond its tolerance (exit code 3)
├── MissingTool           this machine lacks a library, a runtime or a compiler (exit code 4)
├── ServiceUnavailable    a registry, a device or a disk does not answer (exit code 5)
│   ├── Unreachable       a Jetson: no connection, or it went while something was done
│   ├── RemoteFailed      a command on a Jetson ended with another exit code than was expected
│   └── LabError          the virtual board could not be built, started or spoken to (deployers/lab)
├── LinkError             the link to a board (deployers/link.py)
│   ├── LinkLostError     the connection went, or the board did not answer; also a ServiceUnavailable (5)
│   └── LinkRefusedError  the board answered with a status other than OK; also a BoardRefused (9)
├── ConversionError       the converter crashed, took too long, or made another function (exit code 7)
├── HostKeyError          a Jetson's host key is unknown, or is another than the one pinned (exit code 8)
├── BoardRefused          a board did not take an image (exit code 9)
├── RolledBack            the deployment failed, and what ran before runs again (exit code 10)
└── DeploymentRunning     another deployment is under way (exit code 11)

Each message has the offending value, what was expected and what to do, on one line.
"""

from __future__ import annotations


class DeployerError(Exception):
    """Root of all deliberate errors; `exit_code` is what the command line returns."""

    exit_code = 1


class InputError(DeployerError):
    """What the user gave cannot be used."""

    exit_code = 2


class ReleaseError(InputError):
    """A folder is no release, or not what its manifest says."""


class NotFound(InputError):  # noqa: N818 - as HTTP has it
    """A version, a board, a job or a reading that was named is not there."""


class Conflict(DeployerError):  # noqa: N818 - as HTTP has it
    """It cannot be done in the state that things are in now; it may be, later."""

    exit_code = 2


class GateFailed(DeployerError):  # noqa: N818 - the field says "the gate failed"
    """A measured figure is outside what is allowed."""

    exit_code = 3


class MissingTool(DeployerError):  # noqa: N818 - a state of the machine
    """A library, a runtime or a compiler is not on this machine."""

    exit_code = 4


class ServiceUnavailable(DeployerError):  # noqa: N818 - a state of the service, not of ours
    """A registry, a device or a disk that should answer does not."""

    exit_code = 5


class Unreachable(ServiceUnavailable):
    """No connection to a Jetson, or it went while something was done there."""


class RemoteFailed(ServiceUnavailable):
    """A command on a Jetson ended with another exit code than was expected."""


class ConversionError(DeployerError):
    """The converter crashed, took too long, or made another function of the model."""

    exit_code = 7


class HostKeyError(DeployerError):
    """A Jetson's host key is unknown, or is another than the one pinned."""

    exit_code = 8


class BoardRefused(DeployerError):  # noqa: N818 - as the session has it: status refused
    """A board did not take an image."""

    exit_code = 9


class RolledBack(DeployerError):  # noqa: N818 - how a deployment ended
    """The deployment failed, and what ran before it runs again."""

    exit_code = 10


class DeploymentRunning(DeployerError):  # noqa: N818 - a state of the machine
    """Another deployment is under way; two at once would mix their images."""

    exit_code = 11
