"""The command that prints what thresholds stand for."""

from __future__ import annotations

from click.testing import CliRunner

from deployers.hub.monitor import sequential
from deployers.hub.monitor.__main__ import main


def test_the_command_prints_thresholds_with_what_they_give() -> None:
    found = CliRunner().invoke(main, ["--days", "30", "--days", "90", "--runs", "1000"])
    assert found.exit_code == 0, found.output
    _, first, second = found.output.splitlines()
    for line, wanted in ((first, 30), (second, 90)):
        days, limit, simulated, *delays = map(float, line.split())
        assert (days, limit) == (wanted, round(sequential.threshold(wanted), 2))
        assert abs(simulated - wanted) < 0.15 * wanted
        assert delays == sorted(delays, reverse=True)
    assert CliRunner().invoke(main, ["--days", "1"]).exit_code == 2
