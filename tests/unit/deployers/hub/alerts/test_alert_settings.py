"""What the tables of alerts may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deployers.exceptions import InputError
from deployers.hub.settings import Settings

HERE = Path("/srv/edgeloop/config/hub.toml")
SMTP = 'sender = "hub@example.org"\nrecipients = ["ops@example.org"]\n'


def parsed(text: str) -> Any:
    return Settings.parse(text, HERE).alerts


def test_without_tables_nobody_is_told() -> None:
    found = parsed("")
    assert (found.level, found.repeat_hours, found.channels) == ("alarm", 24.0, ())


def test_each_channel_has_its_defaults() -> None:
    found = parsed(
        '[alerts]\nlevel = "warning"\n[alerts.webhook]\nurl = "https://x.example/hook"\n'
        f'[alerts.smtp]\nhost = "mail.example.org"\n{SMTP}[alerts.mqtt]\nhost = "broker"\n'
    )
    assert found.level == "warning"
    assert found.channels == (found.webhook, found.smtp, found.mqtt)
    assert (found.smtp.port, found.smtp.security) == (587, "starttls")
    assert (found.mqtt.port, found.mqtt.tls, found.mqtt.topic, found.mqtt.discovery) == (
        1883,
        False,
        "edgeloop",
        "homeassistant",
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[alerts]\nlevel = 'ok'", "alerts.level"),
        ("[alerts]\nrepeat_hours = -1", "alerts.repeat_hours"),
        ("[alerts]\npage = 'javascript:x'", "alerts.page"),
        ('[alerts]\nname = "a\\u0007"', "alerts.name"),
        ("[alerts]\nrecipient = 'x'", "Extra inputs"),
        ("[alerts.webhook]\nurl = 'ftp://x/y'", "expected http:// or https://"),
        ("[alerts.webhook]\nurl = 'https:///y'", "and a host"),
        ("[alerts.webhook]\nurl = 'https://u:p@x/y'", "holds a user or a password"),
        ("[alerts.webhook]\nurl = 'http://192.0.2.7/y'", "beyond loopback and there is no TLS.*give https://"),
        (f"[alerts.smtp]\nhost = 'm'\nport = 70000\n{SMTP}", "alerts.smtp.port"),
        ("[alerts.smtp]\nhost = 'm'\nsender = 'hub@x'\nrecipients = []", "alerts.smtp.recipients"),
        ("[alerts.smtp]\nhost = 'm'\nsender = 'hub@x'\nrecipients = ['no address']", "alerts.smtp.recipients"),
        ('[alerts.smtp]\nhost = "m"\nsender = "hub@x\\r\\nBcc:y@z"\nrecipients = ["a@b"]', "alerts.smtp.sender"),
        (f"[alerts.smtp]\nhost = 'm'\nuser = 'u'\nsecurity = 'none'\n{SMTP}", "password of 'u' could be overheard"),
        ("[alerts.mqtt]\nhost = 'b'\nuser = 'u'", "password of 'u' could be overheard: give tls = true"),
        ("[alerts.mqtt]\nhost = 'b'\ntopic = 'a/#'", "alerts.mqtt.topic"),
        ("[alerts.mqtt]\nhost = 'b'\ntopic = ''", "alerts.mqtt.topic"),
        ("[alerts.mqtt]\nhost = 'b'\ndiscovery = '+'", "alerts.mqtt.discovery"),
        ("[monitor]\nenabled = false\n[alerts.mqtt]\nhost = 'b'", "monitor.enabled is false: enable it"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_to_do(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as refused:
        parsed(text)
    assert str(refused.value).endswith("mend it there")


@pytest.mark.parametrize(
    "text",
    [
        "[alerts.webhook]\nurl = 'http://127.0.0.1:9/y'",
        "[alerts.webhook]\nurl = 'http://localhost/y'",
        "[alerts.webhook]\nurl = 'http://192.0.2.7/y'\ntoken_env = ''",
        f"[alerts.smtp]\nhost = '127.0.0.1'\nuser = 'u'\nsecurity = 'none'\n{SMTP}",
        f"[alerts.smtp]\nhost = 'relay'\nsecurity = 'none'\n{SMTP}",
        "[alerts.mqtt]\nhost = '::1'\nuser = 'u'",
        "[alerts.mqtt]\nhost = 'b'\nuser = 'u'\ntls = true",
        "[alerts.mqtt]\nhost = 'b'\ndiscovery = ''",
    ],
)
def test_without_tls_nothing_secret_leaves_the_machine(text: str) -> None:
    assert len(parsed(text).channels) == 1


@pytest.mark.parametrize("field", ["password", "token", "password_env"])
def test_a_secret_that_stands_in_the_wrong_place_is_not_shown(field: str) -> None:
    with pytest.raises(InputError) as refused:
        parsed(f"[alerts.smtp]\nhost = 'm'\n{field} = 'hunter 2'\n{SMTP}")
    assert field in str(refused.value)
    assert "hunter" not in str(refused.value)


def test_others_may_not_read_the_address_of_a_webhook(tmp_path: Path) -> None:
    path = tmp_path / "hub.toml"
    path.write_text("[alerts.webhook]\nurl = 'https://chat.example/hooks/abc'\n")
    path.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        Settings.load(path)
    path.chmod(0o600)
    assert Settings.load(path).alerts.webhook is not None
