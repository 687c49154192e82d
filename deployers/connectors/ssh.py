"""A Jetson over SSH: host keys pinned by their fingerprints, keys or an agent to log in, never a password.

The only module that knows paramiko.
"""

from __future__ import annotations

import contextlib
import getpass
import logging
import select
import socket
import threading
import time
from typing import TYPE_CHECKING

import paramiko

from deployers.connectors.base import Completed, Transferred, unseen
from deployers.connectors.transfer import Receiver, Sender
from deployers.exceptions import DeployerError, HostKeyError, InputError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path, PurePosixPath

    from deployers.connectors.base import Source
    from deployers.connectors.command import Command
    from deployers.inventory import Jetson

KEEPALIVE_SECONDS = 10
SILENCE_SECONDS = 30  # data that nobody has acknowledged for so long: the other side is gone
GRACE_SECONDS = 1.0  # for output that comes after the exit code; a child may hold the channel open for ever
BLOCK = 1 << 18
# One key has several names, by the hash that signs; where it is not the pinned one, the server is asked for the others.
KINDS = {"ssh-rsa": ("ssh-rsa", "rsa-sha2-256", "rsa-sha2-512")}
CONNECTION_ERRORS = (paramiko.SSHException, OSError, EOFError)
# Its transport's thread logs what is raised here anyway, with a traceback.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class _Unpinned(paramiko.SSHException):  # type: ignore[misc]  # the library has no types
    """The server's key has none of the fingerprints."""

    def __init__(self, key: paramiko.PKey) -> None:
        super().__init__("unpinned host key")
        self.key = key


class _Pinned(paramiko.RejectPolicy):  # type: ignore[misc]  # likewise
    """Rejects every host key but those that are pinned."""

    def __init__(self, fingerprints: tuple[str, ...]) -> None:
        self._fingerprints = fingerprints

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        """Called with every key, for no file of known hosts is ever loaded."""
        if key.fingerprint not in self._fingerprints:
            raise _Unpinned(key)


class SshConnector:
    """One Jetson over one connection, made when it is first needed; several threads may share it.

    Args:
        jetson: where it is and who logs in.
    """

    def __init__(self, jetson: Jetson) -> None:
        self._jetson, self.name = jetson, jetson.name
        self._connecting = threading.RLock()
        self._client: paramiko.SSHClient | None = None
        self._sftp: paramiko.SFTPClient | None = None

    def run(self, command: Command) -> Completed:
        """Run a command to its end; see `Connector.run`."""
        with self._reaching(f"while {command.shown()[:80]!r} ran"):
            channel = self._transport().open_session(timeout=self._jetson.connect_seconds)
            with channel:
                channel.exec_command(command.line())
                return self._finished(channel, command)

    def upload(
        self,
        source: Source,
        remote: PurePosixPath,
        mode: int = 0o644,
        progress: Callable[[int, int], None] = unseen,
    ) -> Transferred:
        """Put a file there; see `Connector.upload`."""
        with self._reaching(f"while {str(remote)!r} was uploaded"):
            return Sender(self, self._files(), source, remote, mode).send(progress)

    def download(
        self, remote: PurePosixPath, local: Path, progress: Callable[[int, int], None] = unseen
    ) -> Transferred:
        """Fetch a file; see `Connector.download`."""
        with self._reaching(f"while {str(remote)!r} was downloaded"):
            return Receiver(self, self._files(), remote, local).receive(progress)

    def sha256(self, remote: PurePosixPath) -> str | None:
        """Hash of a file; see `Connector.sha256`."""
        with self._reaching(f"while {str(remote)!r} was read"):
            return Receiver(self, self._files(), remote).remote_hash()

    def close(self) -> None:
        """End the connection; see `Connector.close`."""
        client, self._client, self._sftp = self._client, None, None
        if client is not None:
            client.close()

    def _files(self) -> paramiko.SFTPClient:
        with self._connecting:
            transport = self._transport()
            if self._sftp is None:
                self._sftp = paramiko.SFTPClient.from_transport(transport)
                self._sftp.get_channel().settimeout(SILENCE_SECONDS)
            return self._sftp

    def _transport(self) -> paramiko.Transport:
        with self._connecting:
            client = self._client
            if client is None or not self._alive():
                self.close()
                client = self._client = _connected(self._jetson)
            return client.get_transport()

    def _finished(self, channel: paramiko.Channel, command: Command) -> Completed:
        """Feed and drain both streams until the command has ended."""
        output, left = (bytearray(), bytearray()), memoryview(command.input)
        deadline, ended = time.monotonic() + command.timeout, float("inf")
        while True:
            left = _feed(channel, left)
            drained = _drain(channel, output)
            if channel.exit_status_ready() and not drained:
                ended = min(ended, time.monotonic() + GRACE_SECONDS)
                if channel.eof_received or channel.closed or time.monotonic() > ended:
                    break
            if time.monotonic() > deadline:
                msg = (
                    f"{self.name}: {command.shown()[:200]!r} did not end within {command.timeout:g} s: see there what "
                    "holds it up, and run this again"
                )
                raise Unreachable(msg)
            if not drained:
                select.select([channel], [], [], 0.02 if left or channel.exit_status_ready() else 0.5)
        code = channel.recv_exit_status()
        if code < 0 and not self._alive():
            msg = "the connection was cut"
            raise paramiko.SSHException(msg)
        return Completed(code, bytes(output[0]), bytes(output[1]))

    def _alive(self) -> bool:
        transport = self._client.get_transport() if self._client else None
        return transport is not None and transport.is_active()

    @contextlib.contextmanager
    def _reaching(self, when: str) -> Iterator[None]:
        """Turn a connection that goes into our own error."""
        try:
            yield
        except paramiko.ChannelException as error:  # the connection stands, and others use it: it is not closed
            msg = (
                f"{self.name}: its SSH server takes no more commands at once {when} ({error}): give a smaller "
                "--parallel, or raise MaxSessions in its sshd_config, and run this again"
            )
            raise Unreachable(msg) from error
        except CONNECTION_ERRORS as error:
            self.close()
            reason = str(error) or type(error).__name__
            msg = (
                f"{self.name}: the connection to {self._jetson.host}:{self._jetson.port} went {when} ({reason}): "
                "check the network, and run this again"
            )
            raise Unreachable(msg) from error
        except DeployerError:
            raise  # an answer, or a command that hangs: the connection is as good as before
        except BaseException:
            self.close()  # interrupted in the middle of something
            raise


def _feed(channel: paramiko.Channel, left: memoryview) -> memoryview:
    """Send what fits of the input; the end of it when all is sent."""
    while left and channel.send_ready():
        left = left[channel.send(left[:BLOCK]) :]
    if not left and not channel.eof_sent:
        channel.shutdown_write()
    return left


def _drain(channel: paramiko.Channel, output: tuple[bytearray, bytearray]) -> bool:
    """Take what has come; whether anything has."""
    some = False
    if channel.recv_ready():
        output[0].extend(channel.recv(BLOCK))
        some = True
    if channel.recv_stderr_ready():
        output[1].extend(channel.recv_stderr(BLOCK))
        some = True
    return some


def _connected(jetson: Jetson) -> paramiko.SSHClient:
    """A connection to whoever holds a pinned host key.

    Raises:
        HostKeyError: the machine that answers holds none.
        Unreachable: nobody answers, or the login is refused.
        InputError: the key file is no key, or has a passphrase.
    """
    key = _key(jetson)
    found: dict[str, str] = {}  # kind of key: fingerprint
    while True:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(_Pinned(jetson.host_keys))
        try:
            _connect(client, jetson, key, [name for kind in found for name in KINDS.get(kind, (kind,))])
        except _Unpinned as error:
            client.close()
            found[error.key.get_name()] = error.key.fingerprint
            continue
        except paramiko.IncompatiblePeer:
            client.close()
            if not found:
                raise
            raise HostKeyError(_unpinned(jetson, found)) from None
        except BaseException:
            client.close()
            raise
        return client


def _connect(client: paramiko.SSHClient, jetson: Jetson, key: paramiko.PKey | None, disabled: list[str]) -> None:
    seconds = jetson.connect_seconds
    try:
        with _socket(jetson) as guard:
            client.connect(
                jetson.host, jetson.port, jetson.user or getpass.getuser(), pkey=key, sock=guard.sock,
                allow_agent=key is None, look_for_keys=False, disabled_algorithms={"keys": disabled},
                timeout=seconds, banner_timeout=seconds, auth_timeout=seconds, channel_timeout=seconds,
            )  # fmt: skip
            guard.sock = None
    except paramiko.AuthenticationException as error:
        raise Unreachable(_no_login(jetson, str(error))) from None
    except paramiko.SSHException as error:
        if "No authentication methods" not in str(error):
            raise
        raise Unreachable(_no_login(jetson, "no key_file, and the agent has no key")) from None
    transport = client.get_transport()
    if transport is not None:
        transport.set_keepalive(KEEPALIVE_SECONDS)


class _Guard:
    """Closes a socket that no transport took over."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock: socket.socket | None = sock


@contextlib.contextmanager
def _socket(jetson: Jetson) -> Iterator[_Guard]:
    try:
        sock = socket.create_connection((jetson.host, jetson.port), jetson.connect_seconds)
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        msg = (
            f"{jetson.name}: {jetson.host}:{jetson.port} does not answer ({reason}), expected its SSH server: check "
            "host and port in the inventory, and whether it is on"
        )
        raise Unreachable(msg) from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_SECONDS * 1000)
    guard = _Guard(sock)
    try:
        yield guard
    finally:
        if guard.sock is not None:
            guard.sock.close()


def _key(jetson: Jetson) -> paramiko.PKey | None:
    path = jetson.key_file
    if path is None:
        return None
    try:
        return paramiko.PKey.from_path(path)
    except (paramiko.SSHException, ValueError, OSError, TypeError) as error:
        if "password" in str(error):  # its class differs from format to format
            reason = "has a passphrase, expected none: ssh-add it and take key_file out, or give a key without one"
        else:
            reason = f"is no private key ({error}), expected one as ssh-keygen writes it: give another key_file"
    msg = f"{jetson.name}: key file {str(path)!r} {reason}"
    raise InputError(msg)


def _no_login(jetson: Jetson, reason: str) -> str:
    what = f"key file {str(jetson.key_file)!r}" if jetson.key_file else "the agent's keys"
    return (
        f"{jetson.name}: {jetson.host}:{jetson.port} refuses user {jetson.user or getpass.getuser()!r} with {what} "
        f"({reason}): check user and key_file, and ~/.ssh/authorized_keys there"
    )


def _unpinned(jetson: Jetson, found: dict[str, str]) -> str:
    keys = ", ".join(f"{fingerprint} ({kind})" for kind, fingerprint in found.items())
    return (
        f"{jetson.name}: the host key of {jetson.host}:{jetson.port} is {keys}, expected one of "
        f"{', '.join(jetson.host_keys)}: someone may be in between, or it was installed anew. Verify it at the "
        "machine itself: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub must print the same; then put it into "
        "host_keys of the inventory"
    )
