"""Every error the deployers raise on purpose.

DeployerError
├── InputError            what the user gave cannot be used (exit code 2)
│   └── ReleaseError      a folder is no release, or not what its manifest says
├── GateFailed            no type within the fidelity budget, or a runtime beyond its tolerance (exit code 3)
├── MissingTool           this machine lacks a library, a runtime or a compiler (exit code 4)
├── ServiceUnavailable    a registry, a device or a disk does not answer (exit code 5)
│   └── LabError          the virtual board could not be built, started or spoken to (deployers/lab)
├── LinkError             the link to a board (deployers/link.py)
│   ├── LinkLostError     the connection went, or the board did not answer; also a ServiceUnavailable (5)
│   └── LinkRefusedError  the board answered with a status other than OK; also a GateFailed (3)
└── ConversionError       the converter crashed, took too long, or made another function (exit code 7)

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


class GateFailed(DeployerError):  # noqa: N818 - the field says "the gate failed"
    """A measured figure is outside what is allowed."""

    exit_code = 3


class MissingTool(DeployerError):  # noqa: N818 - a state of the machine
    """A library, a runtime or a compiler is not on this machine."""

    exit_code = 4


class ServiceUnavailable(DeployerError):  # noqa: N818 - a state of the service, not of ours
    """A registry, a device or a disk that should answer does not."""

    exit_code = 5


class ConversionError(DeployerError):
    """The converter crashed, took too long, or made another function of the model."""

    exit_code = 7
