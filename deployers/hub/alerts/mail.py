"""Changes by mail."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING

import aiosmtplib

from deployers.exceptions import ServiceUnavailable
from deployers.hub.alerts.channel import ANSWER_SECONDS, Channel, secret, tls
from deployers.hub.alerts.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deployers.hub.alerts.ledger import Change
    from deployers.hub.alerts.settings import SmtpSection
    from deployers.hub.alerts.wording import Wording


class Mail(Channel):
    """One mail for all that changed together.

    Args:
        section: by which server, to whom.
        words: how the hub speaks.
        environment: where the password is.
    """

    name = "smtp"

    def __init__(self, section: SmtpSection, words: Wording, environment: Mapping[str, str] = os.environ) -> None:
        self._section, self._words, self._environment = section, words, environment
        self.server, self.gather_seconds = f"{section.host}:{section.port}", section.gather_seconds

    async def send(self, changes: Sequence[Change]) -> str:
        """Hand it to the server; the remark names recipients that it refused beside others that it took."""
        section = self._section
        password = (
            secret(self._environment, section.password_env, f"the password of {section.user!r}")
            if section.user
            else None
        )
        try:
            refused, _ = await aiosmtplib.send(
                self._message(changes),
                hostname=section.host,
                port=section.port,
                username=section.user or None,
                password=password,
                use_tls=section.security == "tls",
                start_tls=section.security == "starttls",
                tls_context=tls() if section.security != "none" else None,
                # Its own default asks the name servers, and waits for them.
                local_hostname=socket.gethostname(),
                timeout=ANSWER_SECONDS,
            )
        except aiosmtplib.SMTPAuthenticationError as error:
            msg = (
                f"mail server {self.server!r} refuses user {section.user!r} ({_said(error)}): correct smtp.user, or "
                f"the variable {section.password_env!r}"
            )
            raise ServiceUnavailable(msg) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            msg = f"mail server {self.server!r} does not take it ({_said(error)}): look at [alerts.smtp], or at its log"
            raise ServiceUnavailable(msg) from None
        return f"mail server {self.server!r} refuses {', '.join(sorted(refused))}" if refused else ""

    def _message(self, changes: Sequence[Change]) -> EmailMessage:
        message = EmailMessage(SMTP)
        message["Subject"] = self._words.subject(changes)
        message["From"] = self._section.sender
        message["To"] = ", ".join(self._section.recipients)
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = make_msgid(domain=self._section.sender.rpartition("@")[2])
        # No vacation notice comes back (RFC 3834).
        message["Auto-Submitted"] = "auto-generated"
        # ASCII on the wire: not every server takes more.
        message.set_content(self._words.text(changes) + "\n", cte="quoted-printable")
        return message


def _said(error: Exception) -> str:
    return one_line(str(error)) or type(error).__name__
