"""The firmware of the virtual boards: built when it is missing or older than its sources, and started."""

from __future__ import annotations

from pathlib import Path

from deployers.lab.programs import LabError, find_program, run_program
from deployers.locks import locked
from deployers.protocol.messages import KEY_BYTES

__all__ = ["LabError", "board_command", "build", "provision"]

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "firmware"
PROGRAMS = {"native": BUILD / "edgeloop-native", "mps2_an500": BUILD / "edgeloop-mps2_an500.elf"}
BUILD_SECONDS = 300.0


def build(kind: str) -> Path:
    """The program of a kind of board, by the firmware's Makefile, which does nothing when it is up to date.

    Raises:
        LabError: no such kind, or the build failed; with the last lines of its output.
        MissingTool: there is no make.
    """
    if kind not in PROGRAMS:
        msg = f"kind of board {kind!r}: expected one of {sorted(PROGRAMS)}"
        raise LabError(msg)
    BUILD.mkdir(parents=True, exist_ok=True)
    busy = LabError(f"another build holds {str(BUILD / 'lock')!r} for {BUILD_SECONDS:g} s, expected its end: see to it")
    with locked(BUILD / "lock", BUILD_SECONDS, busy):  # two at once would read each other's halves
        failure, command = f"make -C firmware {kind} failed", ["make", "-C", str(ROOT / "firmware"), kind]
        run_program(command, BUILD_SECONDS, failure, "install what it names")
    return PROGRAMS[kind]


def provision(folder: Path, key: bytes, public_key: bytes) -> None:
    """Write what a board is given before it is delivered.

    Args:
        folder: the board's; made if missing.
        key: the link's 32-byte key.
        public_key: the uncompressed P-256 point (65 bytes) by which images are verified.

    Raises:
        LabError: the link key has another length.
    """
    if len(key) != KEY_BYTES:
        msg = f"link key of {len(key)!r} bytes, expected {KEY_BYTES}: make it anew"
        raise LabError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (("key.bin", key), ("public_key.bin", public_key)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(data)


def board_command(  # noqa: PLR0913 - each is a property of the board
    kind: str,
    program: Path,
    name: str,
    *,
    hub_port: int,
    sensor_port: int,
    hub_host: str | None = None,
    test_ms: int = 3_600_000,
) -> list[str]:
    """The command of a board, to be run in its folder, which need not be named then.

    QEMU splits settings at commas, the board at spaces.

    Args:
        kind: "native" or "mps2_an500".
        program: as `build` returned it.
        name: the board's id.
        hub_port: where the hub listens.
        sensor_port: where the board's sensor line is listened for on this machine.
        hub_host: address of the hub; this machine if not given.
        test_ms: how long an image may be in test before the board reverts it.

    Raises:
        MissingTool: QEMU is not installed.
    """
    settings = ["folder=.", f"id={name}", f"port={hub_port}", f"test_ms={test_ms}"]
    settings += [] if hub_host is None else [f"hub={hub_host}"]
    if kind == "native":
        return [str(program), *settings, f"sensor={sensor_port}"]
    qemu = find_program("qemu-system-arm", "it emulates the board: scripts/install-debian.sh qemu-system-arm")
    arguments = ",".join(["enable=on", "target=native", "arg=edgeloop", *(f"arg={word}" for word in settings)])
    machine = ["-M", "mps2-an500", "-display", "none", "-monitor", "none", "-nic", "user,restrict=off"]
    sensor = ["-chardev", f"socket,id=sensor,host=127.0.0.1,port={sensor_port}", "-serial", "chardev:sensor"]
    return [qemu, *machine, *sensor, "-semihosting-config", arguments, "-kernel", str(program)]
