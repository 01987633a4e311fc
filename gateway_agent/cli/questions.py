"""What `init` needs to know: from options, or from a conversation about the rest."""

import re
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from gateway_agent.cli.offers import Section, offer, take
from gateway_agent.config import GATEWAY_ID, PlatformConfig
from gateway_agent.credentials import (
    ENVIRONMENT,
    Credentials,
    CredentialsError,
    CredentialSource,
    parse_credentials,
)
from gateway_agent.found import find_devices
from gateway_agent.outputs.client import PlatformClient
from gateway_agent.outputs.trial import missing_scopes, try_address, try_key
from gateway_agent.settings import broker_url, http_url

_API: Final = "/api"


@dataclass(frozen=True, slots=True)
class Given:
    """What the options said; None is asked for."""

    url: str | None
    mqtt: str | None
    """Never asked for: HTTP does it alone."""
    key_id: str | None
    key_password_file: Path | None
    key_file: Path | None
    gateway_id: str | None
    kinds: Sequence[str]
    """The kinds of inputs to take without a question; none of them: offer what is found."""
    root: Path
    offline: bool
    """Whether address and key are taken untried."""

    @property
    def has_key(self) -> bool:
        """Whether nothing need be asked about the key."""
        return bool(self.key_file or (self.key_id and self.key_password_file))


@dataclass(frozen=True, slots=True)
class Answers:
    """All that is needed to write the files."""

    address: str
    key: Credentials
    gateway_id: str
    may_register: bool = True
    """Whether the key can make the sensors that are missing."""
    inputs: Sequence[Section] = field(default=())
    mqtt: str | None = None


class WrongKey(Exception):
    """The platform does not take the key, or not for what an agent does; says what to do."""


def settle(given: Given, *, yes: bool) -> Answers:
    """Address, key, gateway id and inputs.

    A wrong answer is explained and asked for again; a wrong option raises ValueError,
    CredentialsError or WrongKey. With everything essential given, or with `yes`, nothing is asked.
    """
    may_ask = not yes and not (given.url and given.has_key)
    if not may_ask and not (given.url and given.has_key):
        raise ValueError("--yes needs --url, and --key-file or --key-id with --key-password-file")
    if given.gateway_id is not None:
        _checked_name(given.gateway_id)
    if given.url is not None:
        http_url(given.url)
    if given.mqtt is not None:
        broker_url(given.mqtt)
    read = _read_key(given) if given.has_key else None
    address = _settle_address(given)
    key, may_register = _settle_key(given, address, read)
    name = _settle_name(given, may_ask=may_ask)
    found = find_devices(given.root)
    inputs = take(found, given.kinds or ("system",)) if given.kinds or not may_ask else offer(found)
    return Answers(address, key, name, may_register, inputs, given.mqtt)


def _settle_address(given: Given) -> str:
    """The address of the API: as it was given, or with /api behind it when that answers."""
    if given.url is not None:
        address = http_url(given.url)
        if not given.offline and (problem := _problem_of(address)):
            raise WrongKey(f"{address}: {problem}")
        return address
    while True:
        typed = click.prompt("Address of the platform").strip().rstrip("/")
        try:
            base = http_url(typed if "://" in typed else f"https://{typed}")
        except ValueError as error:
            click.echo(f"  {error}")
            continue
        if given.offline:
            return base
        candidates = [base] if base.endswith(_API) else [base + _API, base]
        problems = {}
        for address in candidates:
            problem = _problem_of(address)
            if problem is None:
                click.echo(f"  {address} answers.")
                return address
            problems[address] = problem
        for address, problem in problems.items():
            click.echo(f"  {address}: {problem}")
        if "://" not in typed:
            click.echo(f"  Type http://{typed} if it has no TLS.")


def _settle_key(given: Given, address: str, read: Credentials | None) -> tuple[Credentials, bool]:
    """The key, which may have been read already, and whether it may register sensors."""
    while True:
        try:
            key = read or _read_key(given)
            may_register = given.offline or _try_key(address, key)
        except (CredentialsError, WrongKey) as error:
            if read:
                raise
            click.echo(f"  {error}")
        else:
            return key, may_register


def _read_key(given: Given) -> Credentials:
    if given.key_file:
        return parse_credentials(_read(given.key_file), str(given.key_file))
    key_id = given.key_id or click.prompt("Key id").strip()
    if given.key_password_file:
        origin, password = str(given.key_password_file), _read(given.key_password_file).strip()
    else:
        origin, password = "the key", click.prompt("Key password", hide_input=True).strip()
    return parse_credentials(f"{key_id}:{password}", origin)


def _problem_of(address: str) -> str | None:
    client = PlatformClient(PlatformConfig(http=address), CredentialSource({}, None))
    try:
        return try_address(client)
    finally:
        client.close()


def _try_key(address: str, key: Credentials) -> bool:
    """Whether the key may register sensors. Raises WrongKey when it is of no use at all."""
    source = CredentialSource({ENVIRONMENT: f"{key.key_id}:{key.key_password}"}, None)
    client = PlatformClient(PlatformConfig(http=address), source)
    try:
        if problem := try_key(client):
            hint = "; id or password is wrong, or the key was revoked" if "401" in problem else ""
            raise WrongKey(f"{address}: {problem}{hint}")
        missing = missing_scopes(client)
    finally:
        client.close()
    if "write" in missing:
        raise WrongKey(f"{address}: the key may not write; give it the scope write")
    click.echo(f"{address} takes the key.")
    if missing:
        click.echo(
            f"The key lacks the scope {' and '.join(missing)}: sensors must be made by hand "
            "(auto_create = false)."
        )
    return not missing


def _settle_name(given: Given, *, may_ask: bool) -> str:
    suggested = gateway_id_from(socket.gethostname())
    if given.gateway_id is not None or not may_ask:
        return _checked_name(given.gateway_id or suggested)
    while True:
        try:
            return _checked_name(click.prompt("Name of this gateway", default=suggested))
        except ValueError as error:
            click.echo(f"  {error}")


def _checked_name(name: str) -> str:
    if not re.fullmatch(GATEWAY_ID, name):
        raise ValueError(
            f"{name!r} cannot name a gateway: 1 to 40 of a-z, 0-9, _ and -, first a letter or _"
        )
    return name


def gateway_id_from(hostname: str) -> str:
    """A gateway id as near to the host's name as its characters allow."""
    name = re.sub(r"[^a-z0-9_-]+", "-", hostname.partition(".")[0].lower()).strip("-")
    if not re.match(r"[a-z_]", name):
        name = f"gateway-{name}".rstrip("-")
    return name[:40]


def _read(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"{file}: cannot be read") from error
