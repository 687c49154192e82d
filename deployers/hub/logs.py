"""Log lines: one JSON object each, without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import TextIO

# Tokens of ours, what follows "Bearer", and passwords in URLs.
_SECRETS = re.compile(r"(edgeloop_|[Bb]earer\s+)[\w.~+/=-]{8,}|(://[^\s:/@]*:)[^\s@/]+(?=@)")


class Lines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "part": record.name.removeprefix("deployers."),
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return json.dumps({name: masked(text) for name, text in fields.items()}, ensure_ascii=False)


def masked(text: str) -> str:
    """The text with secrets replaced."""
    return _SECRETS.sub(lambda found: (found[1] or found[2]) + "***", text)


def start_logging(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Have everything of this process logged like this."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
