"""A self-contained HTML page: no script, no outside reference, readable on screen and on paper."""

from __future__ import annotations

import base64
import html
import io
import math
import numbers
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from deployers.conversion.conditions import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.figure import Figure

    from deployers.conversion.conditions import Condition

# Ink on paper; on a screen that wants it dark the colours are turned, the charts with them (their hues stay). On paper
# nothing is cut between two pages that could stay on one, and a table's head is repeated.
STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--paper:#fff;--soft:#55606c;--rule:#d5dbe1;--line:#e4e8ec;--band:#f4f6f8;
--ok:#116633;--bad:#b3261e;--part:#7a4b00}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:66rem;
padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--rule)}
.lead{color:var(--soft);margin:.25rem 0 1rem}
table{border-collapse:collapse;margin:.5rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .75rem;border-bottom:1px solid var(--line);text-align:left}
td.n{text-align:right;white-space:nowrap}th{background:var(--band)}
figure{margin:1rem 0}img{max-width:100%}figcaption{color:var(--soft);font-size:.9rem}
.ok{color:var(--ok);font-weight:600}.bad{color:var(--bad);font-weight:600}.part{color:var(--part);font-weight:600}
td.w{white-space:nowrap}td:last-child:not(.n){min-width:14rem}
.verdict{padding:.6rem 1rem;border-left:.3rem solid;margin:1rem 0;background:var(--band)}
@media screen{table{display:block;overflow-x:auto}}
@media screen and (prefers-color-scheme:dark){:root{--ink:#dde3e9;--paper:#14191f;--soft:#9aa6b2;--rule:#3a444e;
--line:#2a323a;--band:#1e252c;--ok:#6cc98f;--bad:#ff8a80;--part:#e0b35c}img{filter:invert(.92) hue-rotate(180deg)}}
@media print{@page{margin:15mm}:root{color-scheme:light}body{font-size:10pt;margin:0;max-width:none;padding:0}
h2,h2+p{break-after:avoid}tr,figure,.verdict{break-inside:avoid}thead{display:table-header-group}img{max-height:22cm}
table{font-size:8.5pt}th,td{padding:.15rem .3rem;overflow-wrap:anywhere}td.n,td.w{white-space:normal}
td:last-child:not(.n){min-width:0}}
"""


class Mark(NamedTuple):
    """A word of a table that stands out: as good ("ok"), bad ("bad"), or neither ("part")."""

    text: str
    kind: Literal["ok", "bad", "part"]


class Page:
    """Collects sections in order; `render` gives the whole document."""

    def __init__(self, title: str, lead: str = "") -> None:
        self.title = title
        self.parts = [f"<h1>{html.escape(title)}</h1>"]
        if lead:
            self.parts.append(f'<p class="lead">{html.escape(lead)}</p>')

    def section(self, heading: str, text: str = "") -> None:
        """Begin a section with a heading and, if given, a paragraph."""
        self.parts.append(f"<h2>{html.escape(heading)}</h2>")
        if text:
            self.paragraph(text)

    def paragraph(self, text: str) -> None:
        """Add one paragraph of plain text."""
        self.parts.append(f"<p>{html.escape(text)}</p>")

    def verdict(self, text: str, *, passed: bool) -> None:
        """Add the verdict as a paragraph that stands out, with its word in front of `text`."""
        kind, word = ("ok", "Passed") if passed else ("bad", "Failed")
        self.parts.append(f'<p class="verdict {kind}">{word}: {html.escape(text)}</p>')

    def mixed_verdict(self, text: str) -> None:
        """Add a verdict that is neither: `text` says which part passed, and which failed."""
        self.parts.append(f'<p class="verdict part">{html.escape(text)}</p>')

    def table(self, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add a table; numbers stand right, floats with four significant digits."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
        self.parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")

    def conditions(self, conditions: Iterable[Condition]) -> None:
        """Add a table of conditions, each with its value, limit and verdict; details have a column if there are any."""
        listed = list(conditions)
        detailed = any(item.detail for item in listed)
        names = ("Condition", "Value", "Limit", "Verdict", *(("Detail",) if detailed else ()))
        head = "".join(f"<th>{name}</th>" for name in names)
        rows = []
        for item in listed:
            verdict = _cell(Mark("passed", "ok") if item.passed else Mark("failed", "bad"))
            value = f"{number(item.value)} {item.unit if math.isfinite(item.value) else ''}".rstrip()
            limit = f"{item.bound} {number(item.limit)} {item.unit}".rstrip()
            rows.append(
                f'<tr>{_cell(item.name)}<td class="n">{html.escape(value)}</td><td class="w">{html.escape(limit)}</td>'
                f"{verdict}{_cell(item.detail) if detailed else ''}</tr>"
            )
        self.parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>")

    def figure(self, figure: Figure, caption: str) -> None:
        """Add a matplotlib figure as an embedded PNG with its caption (also its alternative text)."""
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=110, bbox_inches="tight")
        encoded = base64.b64encode(data.getvalue()).decode("ascii")
        text = html.escape(caption)
        self.parts.append(
            f'<figure><img alt="{text}" src="data:image/png;base64,{encoded}"><figcaption>{text}</figcaption></figure>'
        )

    def render(self) -> str:
        """The complete HTML document."""
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(self.title)}</title>'
            f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head>'
            f"<body>{''.join(self.parts)}</body></html>"
        )


def named(document: str, facts: Mapping[str, Any]) -> str:
    """A rendered page with the registered model and its version in the title, as far as `facts` have them."""
    words = [str(facts["model"])] if facts.get("model") else []
    words += [f"version {facts['version']}"] if facts.get("version") else []
    name = html.escape(" ".join(words))
    for end in ("</title>", "</h1>") if name else ():
        document = document.replace(end, f": {name}{end}", 1)
    return document


def _cell(value: Any) -> str:
    if isinstance(value, Mark):
        return f'<td><span class="{value.kind}">{html.escape(value.text)}</span></td>'
    if not isinstance(value, bool) and isinstance(value, numbers.Real):
        return f'<td class="n">{number(float(value))}</td>'
    return f"<td>{html.escape(str(value))}</td>"
