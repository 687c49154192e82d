"""What keeps the hub running: a systemd unit, or where that may not be had, the hub's own supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployers.connectors.command import Command, script
from deployers.facts import UNIT

if TYPE_CHECKING:
    from deployers.site import Site

STOP_SECONDS = 30
READY_SECONDS = 90  # an emulated processor takes half of that to import everything
HOMES = ("/home/", "/root/", "/run/user/")
# ProcSubset=pid would hide /proc/cpuinfo, without which LiteRT computes by other kernels, and MemoryDenyWriteExecute
# would stop runtimes that compile kernels as they start: neither is here.
UNIT_TEXT = """\
[Unit]
Description=edgeloop hub: readings, forecasts and models
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
User={account}
WorkingDirectory={root}
Environment=PYTHONPATH={code} PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
EnvironmentFile=-{root}/config/hub.env
ExecStart={python} -P -m deployers.hub serve --config {config}
Restart=always
RestartSec=1
TimeoutStopSec={stop}
LimitNOFILE=65536
UMask=0077

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ReadWritePaths={root}/data {root}/run {root}/incoming
ProtectHome={home}
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
PrivateTmp=yes
PrivateMounts=yes
PrivateDevices=yes
DevicePolicy=closed
PrivateUsers=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""
# A process id may belong to another program by now, or to the hub of another folder: only this one's is ended.
STOP = """
config=$3 pid=$(cat "$1" 2>/dev/null) || exit 0
ours() { tr '\\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep 'deployers[.]hub' | grep -qF -- "$config"; }
ours || exit 0
kill "$pid" 2>/dev/null
left=$(($2 * 10))
while ours; do
  [ "$left" -gt 0 ] || { echo "process $pid does not end"; exit 1; }
  left=$((left - 1)); sleep 0.1
done
"""
# Its files are closed to others; it keeps no descriptor of the connection, which would hold that open.
START = """
log=$1; shift
umask 077
cd / && exec setsid -f "$@" </dev/null >>"$log" 2>&1
"""


def unit_text(site: Site) -> str:
    """The unit: as little as possible may be read, and less be written."""
    return UNIT_TEXT.format(
        account=site.account,
        root=site.root,
        code=site.code,
        python=site.python,
        config=site.config,
        stop=STOP_SECONDS,
        home="read-only" if f"{site.root}/".startswith(HOMES) else "yes",
    )


def restart_commands(site: Site) -> tuple[Command, ...]:
    """Start the hub from what is current; one that runs ends before."""
    if site.systemd:
        words = (("daemon-reload",), ("enable", UNIT), ("restart", UNIT))
        return tuple(site.as_root(Command(("systemctl", *each))) for each in words)
    run = site.root / "run"
    stop = script(STOP, run / "supervisor.pid", str(STOP_SECONDS), site.config, timeout=STOP_SECONDS + 10)
    program = site.module("deployers.hub", "supervise", "--config", site.config)
    start = Command(("sh", "-c", START, "sh", run / "hub.log", *program.words))
    return (site.as_account(stop), site.as_account(start))


def wait_command(site: Site, address: str, seconds: float = READY_SECONDS) -> Command:
    """Wait until the hub answers."""
    run, program = site.root / "run", site.code / "deployers" / "waiting.py"
    process = (UNIT,) if site.systemd else (run / "supervisor.pid", run / "hub.log")
    command = Command((site.python, program, address, f"{seconds:g}", *process), timeout=seconds + 30)
    return site.as_root(command) if site.systemd else site.as_account(command)
