"""The pages. Whatever comes from outside goes through :func:`escape`, names of sensors too."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import plot

if TYPE_CHECKING:
    from collections.abc import Sequence


def page(title: str, body: str, user: str | None = None) -> str:
    """Return a whole page; with a user, one on which that user can disconnect."""
    who = (
        '<form method="post" action="/disconnect">'
        f"<span>Connected as {escape(user)}</span> <button>Disconnect</button></form>"
        if user is not None
        else ""
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · Plotter</title>"
        '<link rel="stylesheet" href="/style.css"></head>'
        f'<body><header><a href="/">Plotter</a>{who}</header>'
        f"<main><h1>{escape(title)}</h1>\n{body}</main></body></html>\n"
    )


def connect_button(text: str = "Connect") -> str:
    """Return the button that begins."""
    return f'<form method="post" action="/connect"><button>{escape(text)}</button></form>'


def welcome(server: str) -> str:
    """Return the page for somebody who is not connected."""
    return page(
        "See what your sensors measured",
        "<p>Plotter draws the last 24 hours of any of your sensors. It needs your permission to "
        f"read them at {escape(server)}; it never sees your password, and you can take the "
        f"permission back at any time.</p>{connect_button()}",
    )


def sensors(found: Sequence[dict[str, Any]], user: str) -> str:
    """Return the list to choose from."""
    if not found:
        return page("Your sensors", "<p>You have no sensors yet.</p>", user)
    rows = "\n".join(_row(sensor) for sensor in found)
    return page("Your sensors", f'<ul class="sensors">\n{rows}\n</ul>', user)


def _row(sensor: dict[str, Any]) -> str:
    name = f"{sensor['owner']}.{sensor['name']}"
    since = sensor.get("lastUpdate")
    when = f"last reading {since[:16].replace('T', ' ')} UTC" if since else "no readings yet"
    address = "/sensor?" + urlencode({"name": name})
    return (
        f'<li><a href="{escape(address)}">{escape(sensor["longName"])}</a> '
        f"<small>{escape(name)} · {escape(when)}</small></li>"
    )


def sensor(
    found: dict[str, Any], field: dict[str, Any] | None, shown: plot.Series | None, user: str
) -> str:
    """Return one sensor's page: its numeric fields to choose from, and the plot of one."""
    title = found["longName"]
    if field is None:
        return page(title, "<p>This sensor measures nothing that is a number.</p>", user)
    body = _field_form(found, field)
    label = field["longName"] or field["name"]
    if shown is None:
        body += (
            f'<p class="empty">No readings of {escape(label)} in the last {plot.HOURS} hours.</p>'
        )
    else:
        body += plot.svg(shown, f"{label} in the last {plot.HOURS} hours") + _summary(shown, field)
    return page(title, body, user)


def _field_form(found: dict[str, Any], chosen: dict[str, Any]) -> str:
    options = "".join(
        f'<option value="{escape(field["name"])}"{" selected" * (field is chosen)}>'
        f"{escape(field['longName'] or field['name'])}</option>"
        for field in numeric(found)
    )
    name = f"{found['owner']}.{found['name']}"
    return (
        f'<form action="/sensor"><input type="hidden" name="name" value="{escape(name)}">'
        f'<label>Field <select name="field">{options}</select></label> <button>Plot</button></form>'
    )


def _summary(shown: plot.Series, field: dict[str, Any]) -> str:
    unit = escape(field["units"])
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{value:.6g} {unit}</dd></div>"
        for name, value in (
            ("Lowest", shown.lowest),
            ("Highest", shown.highest),
            ("Latest", shown.latest),
        )
    )
    return f"<dl>{cells}<div><dt>Readings</dt><dd>{shown.readings}</dd></div></dl>"


def numeric(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the fields of a sensor that can be plotted, those that have a value first."""
    fields = [field for field in found["fields"] if field["type"] == "NUMBER"]
    return sorted(fields, key=lambda field: "value" not in field)


def problem(title: str, text: str, user: str | None = None, *, again: str = "") -> str:
    """Return a page that says what went wrong, with what can be done: HTML in ``again``."""
    return page(title, f"<p>{escape(text)}</p>{again}", user)
