"""Changes by mail, to a real server."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl
from typing import Any

import pytest

from deployers.exceptions import ServiceUnavailable
from deployers.hub.alerts import mail as module
from deployers.hub.alerts.mail import Mail
from deployers.hub.alerts.settings import SmtpSection
from tests.alerting import HOSTILE, WORDS, Mails, change, mail_server
from tests.programs import free_port

pytestmark = [
    pytest.mark.anyio,
    # What the server thinks of a login over a connection that is encrypted from the first byte.
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning"),
]
PASSWORD = {"EDGELOOP_SMTP_PASSWORD": "s3cret"}


def mail(port: int, environment: dict[str, str] = PASSWORD, **fields: Any) -> Mail:
    recipients = ("ops@example.org", "night@example.org")
    given = {"host": "127.0.0.1", "port": port, "security": "none", "sender": "hub@example.org", **fields}
    return Mail(SmtpSection(**{"recipients": recipients, **given}), WORDS, environment)


def only(mails: Mails) -> Any:
    ((_, content),) = mails.kept
    return email.message_from_bytes(content, policy=email.policy.default)


async def test_fifty_sensors_are_one_mail() -> None:
    async with mail_server() as mails:
        assert await mail(mails.port).send([change(f"board-{at}") for at in range(50)]) == ""
    found = only(mails)
    assert mails.kept[0][0] == ("ops@example.org", "night@example.org")
    assert found["Subject"] == "[jetson-1] 50 in trouble: board-0, board-1, board-2 and 47 more"
    assert (found["From"], found["To"]) == ("hub@example.org", "ops@example.org, night@example.org")
    assert found["Auto-Submitted"] == "auto-generated"
    assert found["Message-ID"].endswith("@example.org>")
    assert mails.kept[0][1].isascii()
    assert found["Date"].datetime is not None
    lines = found.get_content().splitlines()
    assert lines[49] == "board-49 stuck alarm: stuck at 21 °C for 70 readings, since 2024-05-01T12:00"
    assert lines[-1] == "https://jetson-1.example/"


async def test_a_name_cannot_add_a_header() -> None:
    async with mail_server() as mails:
        await mail(mails.port).send([change(HOSTILE, reason="\r\n.\r\nQUIT\r\n")])
    found = only(mails)
    assert found["Bcc"] is None
    assert found["Subject"].startswith("[jetson-1] <b>attic Bcc: all@example.org</b>/#+ é stuck alarm: . QUIT")
    assert found.get_content_type() == "text/plain"
    assert len(found.get_content().splitlines()) == 3


async def test_a_login_goes_over_starttls(server_tls: ssl.SSLContext) -> None:
    async with mail_server(tls=server_tls) as mails:
        await mail(mails.port, security="starttls", user="hub").send([change()])
    assert mails.logins == ["hub"]
    assert len(mails.kept) == 1


async def test_a_login_goes_over_tls(server_tls: ssl.SSLContext) -> None:
    async with mail_server(tls=server_tls, implicit=True) as mails:
        await mail(mails.port, security="tls", user="hub").send([change()])
    assert mails.logins == ["hub"]


async def test_a_server_without_starttls_is_not_spoken_to_in_the_clear() -> None:
    async with mail_server() as mails:
        with pytest.raises(ServiceUnavailable, match="STARTTLS"):
            await mail(mails.port, security="starttls").send([change()])
    assert mails.kept == []


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    async with mail_server(tls=server_tls) as mails:
        with pytest.raises(ServiceUnavailable, match="certificate verify failed"):
            await mail(mails.port, security="starttls", user="hub").send([change()])
    assert (mails.logins, mails.kept) == ([], [])


async def test_a_wrong_password_says_where_the_right_one_belongs(server_tls: ssl.SSLContext) -> None:
    async with mail_server(tls=server_tls) as mails:
        sender = mail(mails.port, {"EDGELOOP_SMTP_PASSWORD": "wr0ng"}, security="starttls", user="hub")
        with pytest.raises(ServiceUnavailable, match=r"refuses user 'hub' \(.*535.*EDGELOOP_SMTP_PASSWORD") as refused:
            await sender.send([change()])
    assert "wr0ng" not in str(refused.value)


async def test_a_password_that_is_not_there_is_named() -> None:
    with pytest.raises(ServiceUnavailable, match="'EDGELOOP_SMTP_PASSWORD' is empty, expected the password of 'hub'"):
        await mail(1, {}, user="hub").send([change()])


async def test_who_is_refused_beside_others_is_remarked() -> None:
    async with mail_server() as mails:
        mails.refused = ("night@example.org",)
        assert "refuses night@example.org" in await mail(mails.port).send([change()])
    assert [to for to, _ in mails.kept] == [("ops@example.org",)]


async def test_if_all_are_refused_it_is_not_sent() -> None:
    async with mail_server() as mails:
        mails.refused = ("night@example.org", "ops@example.org")
        with pytest.raises(ServiceUnavailable, match="does not take it"):
            await mail(mails.port).send([change()])


async def test_a_server_that_is_away_or_deaf_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServiceUnavailable, match=r"'127.0.0.1:\d+' does not take it"):
        await mail(free_port()).send([change()])
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(ServiceUnavailable, match="does not take it"):
        await mail(deaf.getsockname()[1]).send([change()])
