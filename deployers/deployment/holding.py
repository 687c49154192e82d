"""A Jetson held for one deployment: its lock, kept fresh by who has it, and its folder of uploads. No I/O here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployers.connectors.command import script
from deployers.plan import Step

if TYPE_CHECKING:
    from pathlib import PurePosixPath

    from deployers.connectors.command import Command
    from deployers.deployment.places import Target, Workshop

# A lock whose holder has not been heard of for so many minutes is that of a machine that went down.
LOCK_MINUTES = 15
LOCKED = 11
# One deployment at a time on a Jetson, from whatever machine: of two that link one name, one succeeds. $4 is the home
# of the deployer, which keeps its own deployments apart: a lock of the same home is of one that was cut off.
LOCK = f"""
mkdir -p "$1" "$2" || exit 1
lock="$1/deployment.lock" mine="$1/.lock-$3"
find "$lock" -mmin +{LOCK_MINUTES} -exec rm -f {{}} \\; 2>/dev/null
printf '%s %s %s\\n' "$3" "$4" "$5" > "$mine" || exit 1
if read -r holder home rest < "$lock" && [ "$home" = "$4" ]; then mv -f "$mine" "$lock"; fi 2>/dev/null
ln "$mine" "$lock" 2>/dev/null
rm -f "$mine"
read -r holder home rest < "$lock"
if [ "$holder" != "$3" ]; then echo "$holder of $rest"; exit {LOCKED}; fi
touch "$lock"
find "$1" -mindepth 1 -maxdepth 1 -type d \\( -name '*-deploy-????' -o -name '*-rollback-????' \\) \\
  ! -name "$3" -exec rm -rf {{}} + 2>/dev/null
true
"""
# A deployment may take longer than a lock lasts: its holder says that it goes on.
RENEW = """
if read -r holder rest < "$1/deployment.lock" && [ "$holder" = "$2" ]; then touch "$1/deployment.lock"; fi 2>/dev/null
true
"""
UNLOCK = """
rm -rf "$2"
if read -r holder rest < "$1/deployment.lock" && [ "$holder" = "$3" ]; then rm -f "$1/deployment.lock"; fi 2>/dev/null
true
"""
RENEW_SECONDS = 15.0


def uploads(target: Target, shop: Workshop) -> PurePosixPath:
    """The folder of uploads of this deployment."""
    return target.site.incoming / shop.identity


def locking(target: Target, shop: Workshop) -> Step:
    """Keep other deployments from a Jetson, from whatever machine."""
    folders = (target.site.incoming, uploads(target, shop))
    command = script(LOCK, *folders, shop.identity, shop.owner, shop.who, accepted=(0, LOCKED))
    return Step("lock", commands=(command,))


def renewing(target: Target, shop: Workshop) -> Command:
    """Keep a lock that is held from getting old; does nothing to another's."""
    return script(RENEW, target.site.incoming, shop.identity, timeout=RENEW_SECONDS)


def closing(target: Target, shop: Workshop) -> Step:
    """Let others come, and leave nothing behind."""
    folder = uploads(target, shop)
    unlock = script(UNLOCK, target.site.incoming, folder, shop.identity)
    return Step("unlock", commands=(*target.site.take(folder), unlock))
