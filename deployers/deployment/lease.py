"""Locks on Jetsons that stay fresh for as long as a deployment runs, however long one of its steps takes."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deployers.deployment.holding import LOCK_MINUTES, renewing
from deployers.exceptions import DeployerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from deployers.connectors.base import Connector
    from deployers.deployment.places import Target, Workshop
    from deployers.journal import Journal

PAUSE_SECONDS = LOCK_MINUTES * 60 / 5  # several may be lost before a lock is old


@contextmanager
def renewed(
    targets: Sequence[Target],
    shop: Workshop,
    connectors: Mapping[str, Connector],
    journal: Journal,
    pause: float = PAUSE_SECONDS,
) -> Iterator[None]:
    """Renew the locks of Jetsons from time to time, until the block ends.

    Args:
        targets: the Jetsons; one whose lock this deployment does not hold is left as it is.
        shop: whose deployment it is.
        connectors: of the Jetsons, by name.
        journal: takes which lock could not be renewed, and why.
        pause: seconds between two times.
    """
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(pause):
            for target in targets:
                try:
                    connectors[target.name].run(renewing(target, shop))
                except DeployerError as error:  # the step that is under way there will say so, too
                    journal.write("not renewed", jetson=target.name, error=str(error))

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
