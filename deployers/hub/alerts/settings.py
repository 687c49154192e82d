"""Who is told, of what, and how often.

    [alerts]
    level = "alarm"

    [alerts.smtp]
    host = "mail.example.org"
    user = "hub"
    sender = "hub@example.org"
    recipients = ["ops@example.org"]

Passwords and tokens are not here: they come from environment variables, whose names are here.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from deployers.hub.section import Port, Section, is_loopback

# Nothing in it can end a header or a command of SMTP; the server has the last word.
Address = Annotated[str, Field(pattern=r"^[!-~]+@[A-Za-z0-9.:\[\]-]+$", max_length=254)]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]+$", max_length=253)]
Variable = Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$", max_length=128)]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=128)]
Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=64)]


class WebhookSection(Section):
    """Where changes are posted as JSON."""

    url: str = Field(description="http:// or https://")
    token_env: Variable = Field(
        "EDGELOOP_ALERTS_TOKEN", description='environment variable with a bearer token; "": none is sent'
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            msg = f"url has scheme {parts.scheme!r}, expected http:// or https:// and a host: correct url"
            raise ValueError(msg)
        if parts.username or parts.password:
            msg = "url holds a user or a password, expected neither: give a token in the variable that token_env names"
            raise ValueError(msg)
        if parts.scheme == "http" and self.token_env and not is_loopback(parts.hostname):
            msg = (
                f"host {parts.hostname!r} is beyond loopback and there is no TLS, the token could be overheard: "
                'give https://, or token_env = "" where it needs no token'
            )
            raise ValueError(msg)
        return self


class SmtpSection(Section):
    """Whom mail goes to, and by which server."""

    host: Host = Field(description="the mail server")
    port: Port = Field(587, description="usually 587 with starttls, 465 with tls, 25 with none")
    security: Literal["none", "starttls", "tls"] = Field("starttls", description="how the connection is encrypted")
    user: str = Field("", description="who logs in; nobody if empty")
    password_env: Variable = Field("EDGELOOP_SMTP_PASSWORD", description="environment variable with the password")
    sender: Address = Field(description="address that mail comes from")
    recipients: Annotated[tuple[Address, ...], Field(min_length=1, max_length=100)] = Field(
        description="addresses that mail goes to"
    )
    gather_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = Field(
        60.0, description="a mail waits until nothing has changed for so long, at most 15 times as long"
    )

    @model_validator(mode="after")
    def _safe(self) -> Self:
        _require_tls(self.host, self.user, 'security = "starttls" or "tls"', is_safe=self.security != "none")
        return self


class MqttSection(Section):
    """The broker that states and changes are published at."""

    host: Host = Field(description="the broker")
    port: Port = Field(1883, description="usually 8883 with tls")
    tls: bool = Field(default=False, description="encrypt the connection, and check the broker's certificate")
    user: str = Field("", description="who logs in; nobody if empty")
    password_env: Variable = Field("EDGELOOP_MQTT_PASSWORD", description="environment variable with the password")
    topic: Topic = Field("edgeloop", description="what all topics begin with")
    discovery: Topic | Literal[""] = Field(
        "homeassistant", description="prefix by which Home Assistant discovers devices; empty: it is not told"
    )

    @model_validator(mode="after")
    def _safe(self) -> Self:
        _require_tls(self.host, self.user, "tls = true", is_safe=self.tls)
        return self


class AlertsSection(Section):
    """Who is told when the monitor's judgement changes."""

    level: Literal["warning", "alarm"] = Field("alarm", description="the least that is told")
    repeat_hours: Annotated[float, Field(ge=0, le=8760, allow_inf_nan=False)] = Field(
        24.0, description="what lasts is told again after so long; 0: never"
    )
    name: Line = Field("", description="how the hub is called in messages; the machine's name if empty")
    page: Annotated[str, Field(pattern=r"^(https?://[!-~]+)?$", max_length=500)] = Field(
        "", description="address of the hub's page as people reach it; what the hub listens on if empty"
    )
    webhook: WebhookSection | None = None
    smtp: SmtpSection | None = None
    mqtt: MqttSection | None = None

    @property
    def channels(self) -> tuple[Section, ...]:
        """Those that are configured."""
        return tuple(each for each in (self.webhook, self.smtp, self.mqtt) if each is not None)


def _require_tls(host: str, user: str, remedy: str, *, is_safe: bool) -> None:
    if user and not is_safe and not is_loopback(host):
        msg = (
            f"host {host!r} is beyond loopback and there is no TLS, the password of {user!r} could be overheard: "
            f'give {remedy}, or user = "" where it needs no password'
        )
        raise ValueError(msg)
