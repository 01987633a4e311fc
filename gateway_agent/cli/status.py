"""`gateway-agent status`."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gateway_agent.cli.common import EXIT_NOT_RUNNING, ExampleCommand, config_option, load_or_exit
from gateway_agent.durations import format_duration
from gateway_agent.status import Document, read_status


@click.command(
    cls=ExampleCommand,
    epilog=("gateway-agent status --json"),
)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(config_file: Path, *, as_json: bool) -> None:
    """Tell how the agent is doing: exit code 0 when it runs, 3 when it does not."""
    document = read_status(load_or_exit(config_file))
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        for line in _lines(document, time.time()):
            click.echo(line)
    if not document["running"]:
        raise SystemExit(EXIT_NOT_RUNNING)


def _lines(document: Document, now: float) -> Iterator[str]:
    spool = document["spool"]
    yield f"gateway    {document['gateway']}"
    if document["running"]:
        started = document.get("started", now)
        process = f"process {document.get('pid')}, up {_ago(started, now)}"
        yield f"state      {document['state']} ({process})"
    else:
        yield "state      not running"
    for problem in document["problems"]:
        yield f"problem    {problem}"
    age = spool["oldest_age"]
    oldest = f", the oldest {format_duration(round(age))} old" if age else ""
    held = ", until the clock is synchronized" if spool["held"] else ""
    yield f"waiting    {spool['depth'] + spool['queued']} readings{oldest}{held}"
    yield f"stored     {spool['acknowledged']} of {spool['committed']} readings so far"
    if spool["dead_letters"]:
        yield f"refused    {spool['dead_letters']} readings, kept as dead letters"
    for reason, count in spool["dropped"].items():
        yield f"dropped    {count} readings: {reason.replace('_', ' ')}"
    if spool["corrupt_files"]:
        yield f"corrupt    {spool['corrupt_files']} spool files were damaged and put aside"
    if not document["running"]:
        return
    output = document.get("output", {})
    acknowledged = output.get("last_acknowledged")
    yield f"last sent  {_ago(acknowledged, now)} ago" if acknowledged else "last sent  nothing yet"
    if output:
        failures = f", {output['failures']} failures" if output["failures"] else ""
        yield f"output     {output['via']}: {output['state']}, {output['sent']} sent{failures}"
    for figures in document.get("inputs", []):
        yield f"input      {_input(figures, now)}"
    for figures in document.get("actuators", []):
        yield f"actuator   {_actuator(figures, now)}"


def _input(figures: Mapping[str, Any], now: float) -> str:
    told = f"{figures['name']}: {figures['readings']} readings"
    if figures["last_reading"]:
        told += f", the last {_ago(figures['last_reading'], now)} ago"
    if figures["errors"]:
        told += f", {figures['errors']} errors"
    if figures["errors"] and figures["open"]:  # what keeps an input closed is told as a problem
        told += f", the last: {figures['last_error']}"
    return told


def _actuator(figures: Mapping[str, Any], now: float) -> str:
    value, safe = figures["value"], figures["safe_state"]
    told = f"{figures['sensor']}: {'not set yet' if value is None else value}"
    told += ", no safe state" if safe is None else f", safe state {safe}"
    if figures["last_command"] is None:
        return f"{told}, no command yet"
    told += f", last command {_ago(figures['last_command'], now)} ago: {figures['last_outcome']}"
    failed = figures["failed"]
    return f"{told}, {failed} failed, the last: {figures['last_error']}" if failed else told


def _ago(moment: float, now: float) -> str:
    return format_duration(max(0, round(now - moment)))
