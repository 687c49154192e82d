"""The hub's place on a Jetson: its folders, its account, and how a command becomes one of that account.

R/code/<hash>/deployers   the code, R/code/current -> <hash>
R/venv/<hash>             the Python environment, R/venv/current -> <hash>
R/wheelhouse              wheels, where pip reaches no index
R/incoming                what is uploaded, before it is taken over
R/config                  hub.toml, tokens, keys
R/data, R/run             the hub's own

Where the hub has an account of its own, code and environment belong to the login: the hub cannot change what it runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployers.connectors.command import TIMEOUT, Command, script
from deployers.exceptions import InputError

if TYPE_CHECKING:
    from pathlib import PurePosixPath

    from deployers.connectors.command import Word
    from deployers.facts import Facts
    from deployers.inventory import Jetson

HUB = "deployers.hub"
CHOWN = 'chown -R "$1" "$2"'


@dataclass(frozen=True)
class Site:
    """Where the hub is, and as whom it runs.

    Attributes:
        name: of the Jetson.
        root: its folder.
        login: who is logged in.
        account: who the hub runs as.
        elevated: words before a command that root has to run; none where root is not needed or is the login.
        systemd: whether it restarts the hub; if not, a process of ours does.
    """

    name: str
    root: PurePosixPath
    login: str
    account: str
    elevated: tuple[str, ...]
    systemd: bool

    @classmethod
    def of(cls, jetson: Jetson, facts: Facts) -> Site:
        """By what the inventory wants and what there is.

        Raises:
            InputError: the inventory wants systemd, and it does not run or root is not to be had.
        """
        systemd = jetson.service != "supervise" and facts.systemd and facts.elevated
        if jetson.service == "systemd" and not systemd:
            why = "root may not be had" if facts.systemd else "systemd does not run"
            msg = f"{jetson.name}: service 'systemd' cannot be had there ({why}): write service = \"supervise\""
            raise InputError(msg)
        account = jetson.account if facts.elevated else facts.login
        elevated = ("sudo", "-n") if facts.elevated and facts.uid else ()
        return cls(jetson.name, jetson.root, facts.login, account, elevated, systemd)

    @property
    def apart(self) -> bool:
        """Whether the hub's account is another than the login."""
        return self.account != self.login

    @property
    def code(self) -> PurePosixPath:
        """Folder of the code that runs."""
        return self.root / "code" / "current"

    @property
    def python(self) -> PurePosixPath:
        """The interpreter that runs it."""
        return self.root / "venv" / "current" / "bin" / "python"

    @property
    def config(self) -> PurePosixPath:
        """The hub's configuration."""
        return self.root / "config" / "hub.toml"

    @property
    def incoming(self) -> PurePosixPath:
        """Folder for uploads; the login may write there."""
        return self.root / "incoming"

    def as_root(self, command: Command) -> Command:
        """A command that root runs, where the login may become root."""
        return command.after(*self.elevated) if self.elevated else command

    def as_account(self, command: Command) -> Command:
        """A command that the hub's account runs."""
        if not self.apart:
            return command
        if self.elevated:
            return command.after(*self.elevated, "-u", self.account, "--")
        return command.after("runuser", "-u", self.account, "--")

    def module(self, module: str, *words: Word, timeout: float = TIMEOUT, accepted: tuple[int, ...] = (0,)) -> Command:
        """`python -m module words…` in the hub's environment, by the login."""
        # -P: a folder named deployers where the command happens to run is not the hub's code.
        program: tuple[Word, ...] = ("env", f"PYTHONPATH={self.code}", "PYTHONDONTWRITEBYTECODE=1", self.python, "-P")
        return Command((*program, "-m", module, *words), timeout, accepted)

    def hub(self, *words: Word, timeout: float = TIMEOUT, accepted: tuple[int, ...] = (0,)) -> Command:
        """`python -m deployers.hub WORD --config … words…` by the hub's account: `site.hub("ctl", "status")`."""
        first, *others = words
        command = self.module(HUB, first, "--config", self.config, *others, timeout=timeout, accepted=accepted)
        return self.as_account(command)

    def give(self, path: PurePosixPath) -> tuple[Command, ...]:
        """Hand what was uploaded to the hub's account; nothing where that is the login."""
        return self._own(self.account, path)

    def take(self, path: PurePosixPath) -> tuple[Command, ...]:
        """Take it back, so that an upload can go on."""
        return self._own(self.login, path)

    def _own(self, who: str, path: PurePosixPath) -> tuple[Command, ...]:
        return (self.as_root(script(CHOWN, f"{who}:", path)),) if self.apart else ()
