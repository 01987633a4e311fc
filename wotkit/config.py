"""The settings table, and the only reader of the environment and of the settings file.

A setting is written once, below: its section, name, type, default, limits and help. Command line,
TOML file, environment, validation and documentation all follow from that. Later sources win:
defaults, TOML file, environment, command line.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

import msgspec
import platformdirs
from msgspec import Meta, Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PREFIX: Final = "WOTKIT_"
CONFIG_VARIABLE: Final = "WOTKIT_CONFIG"


def default_data_folder() -> Path:
    """Return where an installed package keeps its data on this operating system."""
    if os.name == "posix" and os.geteuid() == 0:
        return Path("/var/lib/wotkit")
    return platformdirs.user_data_path("wotkit")


def _count(text: str) -> Any:
    return Meta(ge=1, description=text)


def _seconds(text: str) -> Any:
    return Meta(ge=0, description=text)


class ServerSettings(Struct, frozen=True, kw_only=True):
    """Where the server listens, and how it stops."""

    host: Annotated[str, Meta(description="Address to listen on; 0.0.0.0 is every one.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port of HTTP; 0 takes any.")] = 8080
    workers: Annotated[
        int, _count("Worker processes. SQLite allows one; PostgreSQL any number.")
    ] = 1
    public_url: Annotated[
        str,
        Meta(
            description="Address under which clients reach the server, when a proxy stands "
            "before it; empty means the address of each request."
        ),
    ] = ""
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are "
            "believed."
        ),
    ] = ()
    backlog: Annotated[int, _count("Connections the kernel queues before they are accepted.")] = (
        2048
    )
    stop_seconds: Annotated[
        int, _count("Seconds that requests under way may take after SIGTERM.")
    ] = 8
    keep_alive_seconds: Annotated[int, _count("Seconds an idle HTTP connection stays open.")] = 75


class StorageSettings(Struct, frozen=True, kw_only=True):
    """Where data lives."""

    data: Annotated[
        str,
        Meta(
            description="Data folder. Empty means the operating system's place for it: "
            "/var/lib/wotkit for root, the user's data folder otherwise."
        ),
    ] = ""
    readers: Annotated[
        int, _count("Threads, each with a connection, that answer queries of readings.")
    ] = 4
    busy_seconds: Annotated[
        float, _seconds("Seconds to wait for another process that writes to the same file.")
    ] = 5.0


class HttpSettings(Struct, frozen=True, kw_only=True):
    """Limits and headers of HTTP."""

    max_body_bytes: Annotated[
        int,
        _count("Bytes a request body may have, also after decompression; larger is 413."),
    ] = 8_388_608
    cors_origins: Annotated[
        tuple[str, ...],
        Meta(
            description='Origins whose pages may call the API from a browser; ["*"] is any. '
            "Cookies are never sent across origins."
        ),
    ] = ("*",)


class AuthSettings(Struct, frozen=True, kw_only=True):
    """Passwords, keys and failed logins."""

    secret_key: Annotated[
        str,
        Meta(
            description="Secret of the server. Empty: made at the first start and kept in the "
            "file secret.key of the data folder, readable by its owner only."
        ),
    ] = ""
    bcrypt_cost: Annotated[
        int, Meta(ge=4, le=31, description="Cost of password hashes; each step doubles the work.")
    ] = 12
    password_min_length: Annotated[
        int, Meta(ge=8, description="Characters a password must have at least.")
    ] = 12
    remember_seconds: Annotated[
        float,
        _seconds(
            "Seconds a verified user password is remembered in memory, under a keyed hash, so "
            "that scripts need not wait for bcrypt at every request. Any change of the account "
            "ends it at once."
        ),
    ] = 300.0
    failures_per_account: Annotated[
        int, _count("Failed logins for one account in a window before it answers 429.")
    ] = 10
    failures_per_address: Annotated[
        int, _count("Failed logins from one address in a window before it answers 429.")
    ] = 50
    failure_window_seconds: Annotated[
        int, _count("Seconds in which failed logins are counted, and the wait after too many.")
    ] = 300
    rotation_overlap_hours: Annotated[
        float, _seconds("Hours the old password of a rotated key stays valid by default.")
    ] = 24.0
    audit_days: Annotated[int, _count("Days the audit log is kept.")] = 730


class IngestSettings(Struct, frozen=True, kw_only=True):
    """The one door for readings."""

    queue_readings: Annotated[
        int, _count("Readings that may wait to be stored; more is answered 503 with Retry-After.")
    ] = 50_000
    queue_bytes: Annotated[
        int, _count("Bytes of readings that may wait to be stored; more is answered 503.")
    ] = 67_108_864
    batch_readings: Annotated[int, _count("Readings stored in one transaction at most.")] = 5_000
    max_readings: Annotated[int, _count("Readings one request may carry; more is 413.")] = 10_000
    clock_skew_seconds: Annotated[
        float, _seconds("How far a timestamp may lie in the future before it is refused.")
    ] = 30.0
    rate: Annotated[
        float,
        Meta(
            ge=0,
            description="Requests a second that one key or user may write on average; 0 is no "
            "limit. Over it the answer is 429 with Retry-After.",
        ),
    ] = 0.0
    burst: Annotated[int, _count("Requests one key or user may write at once above the rate.")] = (
        100
    )
    max_fields: Annotated[int, _count("Fields one reading may have.")] = 200
    max_name_length: Annotated[int, _count("Characters of a field's name in a reading.")] = 100
    max_text_length: Annotated[int, _count("Characters of one text value in a reading.")] = 65_536
    max_depth: Annotated[
        int, _count("Levels of lists and objects inside the value of an undeclared field.")
    ] = 8
    resend_days: Annotated[float, _seconds("Days an Idempotency-Key is remembered.")] = 7.0


class QuerySettings(Struct, frozen=True, kw_only=True):
    """Limits of queries."""

    active_minutes: Annotated[
        float, _seconds("A sensor is active when it had a reading in so many minutes.")
    ] = 15.0
    max_sensors: Annotated[int, _count("Sensors one list answers at most.")] = 1_000
    max_readings: Annotated[int, _count("Readings one query answers at most.")] = 10_000
    max_data_sensors: Annotated[
        int, _count("Sensors that one query of readings of many sensors may read.")
    ] = 10_000
    max_count: Annotated[
        int,
        _count(
            "Readings beyond an answer that are counted to say how many match; more count as that."
        ),
    ] = 100_000
    max_table_readings: Annotated[
        int,
        _count("Readings a query in the language of dataTable may load; beyond it, it is refused."),
    ] = 100_000


class ControlSettings(Struct, frozen=True, kw_only=True):
    """Messages to actuators."""

    subscription_seconds: Annotated[
        float,
        Meta(
            ge=1,
            description="Seconds after which a subscription to an actuator ends that nobody uses.",
        ),
    ] = 300.0
    redeliver_seconds: Annotated[
        float,
        Meta(
            ge=0.1,
            description="Seconds after which a message that expires is delivered again, when the "
            "subscription has not acknowledged it.",
        ),
    ] = 15.0
    max_expires_seconds: Annotated[
        float, Meta(ge=1, description="Seconds after which a message may expire at most.")
    ] = 604_800.0
    max_messages: Annotated[
        int,
        _count("Messages that may wait for the subscriptions of one sensor; more is answered 429."),
    ] = 1_000
    max_message_bytes: Annotated[
        int, _count("Bytes one message may have as JSON; more is answered 413.")
    ] = 16_384
    max_subscriptions: Annotated[
        int, _count("Subscriptions to one actuator at a time; more is answered 429.")
    ] = 100
    max_waiting: Annotated[
        int,
        _count("Requests that may wait for messages at a time; more is answered 503."),
    ] = 10_000


class AlertSettings(Struct, frozen=True, kw_only=True):
    """Alerts, their inbox and their deliveries."""

    max_per_user: Annotated[int, _count("Alerts one user may have.")] = 20
    max_conditions: Annotated[int, _count("Conditions one alert may have.")] = 20
    check_seconds: Annotated[
        float,
        Meta(ge=0.1, description="How often silent sensors are looked for (operator NODATA)."),
    ] = 10.0
    queue_readings: Annotated[
        int,
        _count(
            "Readings that may wait to be compared with alerts; beyond it only the latest values "
            "are."
        ),
    ] = 50_000
    inbox_messages: Annotated[
        int, _count("Messages kept in the inbox of one user; the oldest go first.")
    ] = 1_000
    delivery_days: Annotated[float, _seconds("Days the log of deliveries is kept.")] = 30.0
    attempts: Annotated[
        int, _count("How often an e-mail or a webhook is tried before it is given up.")
    ] = 10
    retry_seconds: Annotated[
        float,
        Meta(ge=0.01, description="Wait before the second try; each later one is three times it."),
    ] = 10.0
    webhook_seconds: Annotated[
        float, Meta(gt=0, description="Seconds a webhook may take, its name's look-up included.")
    ] = 10.0
    webhook_private: Annotated[
        bool,
        Meta(
            description="Whether webhooks may go to private, loopback and link-local addresses. "
            "With it every user can reach what the server can."
        ),
    ] = False


class MailSettings(Struct, frozen=True, kw_only=True):
    """How the server sends e-mail (SMTP)."""

    host: Annotated[str, Meta(description="SMTP server; empty means that no e-mail is sent.")] = ""
    port: Annotated[int, Meta(ge=1, le=65535, description="Its port.")] = 587
    tls: Annotated[
        Literal["starttls", "tls", "none"],
        Meta(description="STARTTLS (port 587), TLS from the start (port 465), or none."),
    ] = "starttls"
    user: Annotated[str, Meta(description="Name to sign in with; empty: without.")] = ""
    password: Annotated[str, Meta(description="Password to sign in with.")] = ""
    sender: Annotated[str, Meta(description="Address that e-mail comes from.")] = "wotkit@localhost"
    seconds: Annotated[
        float, Meta(gt=0, description="Seconds the server may take for each step.")
    ] = 30.0


class LogSettings(Struct, frozen=True, kw_only=True):
    """The log on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Least severe message that is written."),
    ] = "info"
    requests: Annotated[
        Literal["all", "notable", "none"],
        Meta(
            description="Which requests get a line: notable ones are all but readings that were "
            "stored, which the metrics count."
        ),
    ] = "notable"
    format: Annotated[
        Literal["logfmt", "json"], Meta(description="Form of a line: key=value pairs or JSON.")
    ] = "logfmt"


class Settings(Struct, frozen=True, kw_only=True):
    """Every setting, by section."""

    server: ServerSettings = ServerSettings()
    storage: StorageSettings = StorageSettings()
    http: HttpSettings = HttpSettings()
    auth: AuthSettings = AuthSettings()
    ingest: IngestSettings = IngestSettings()
    query: QuerySettings = QuerySettings()
    control: ControlSettings = ControlSettings()
    alerts: AlertSettings = AlertSettings()
    mail: MailSettings = MailSettings()
    log: LogSettings = LogSettings()

    @property
    def data_folder(self) -> Path:
        """The data folder, absolute."""
        data = self.storage.data
        return Path(data).absolute() if data else default_data_folder()


class Setting(NamedTuple):
    """One row of the settings table."""

    section: str
    key: str
    type: Any
    default: Any
    help: str

    @property
    def name(self) -> str:
        """The name in the TOML file and on the command line, such as ``server.port``."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """The environment variable, such as ``WOTKIT_SERVER_PORT``."""
        return f"{PREFIX}{self.section}_{self.key}".upper()

    @property
    def secret(self) -> bool:
        """Whether the value is never shown, and may be read from a file named by ``…_file``."""
        return self.key.startswith("secret") or self.key.endswith("password")


def _table() -> Iterator[Setting]:
    for section in msgspec.structs.fields(Settings):
        for field in msgspec.structs.fields(section.type):
            info = msgspec.inspect.type_info(field.type)
            meta: dict[str, Any] = {}
            if isinstance(info, msgspec.inspect.Metadata):
                meta = info.extra_json_schema or {}
            default = getattr(section.default, field.name)
            yield Setting(
                section.name, field.name, field.type, default, meta.get("description", "")
            )


SETTINGS: Final[tuple[Setting, ...]] = tuple(_table())
"""The settings table, in the order of the documentation."""

_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


class ConfigError(Exception):
    """The settings are wrong; ``mistakes`` has one line for each."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class Source(NamedTuple):
    """Where the value of a setting came from."""

    value: Any
    origin: str


def _nearest(name: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]}?" if matches else ""


def _read_secret(path: str, origin: str, mistakes: list[str]) -> str:
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        mistakes.append(f"{origin}: cannot read {path}: {error.strerror}")
    except ValueError:
        mistakes.append(f"{origin}: {path} is not a text file")
    else:
        if secret:
            return secret
        mistakes.append(f"{origin}: {path} is empty")
    return ""


def _from_file(path: Path, found: dict[str, Source], mistakes: list[str]) -> None:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        mistakes.append(f"{path}: cannot be read: {error.strerror}")
        return
    except ValueError as error:
        mistakes.append(f"{path}: {error}")
        return
    sections = {setting.section for setting in SETTINGS}
    for section, values in document.items():
        if section not in sections:
            mistakes.append(f"{path}: no section [{section}]{_nearest(section, sections)}")
        elif not isinstance(values, dict):
            mistakes.append(f"{path}: {section} must be a section, [{section}]")
        else:
            _from_section(path, section, values, found, mistakes)


def _from_section(
    path: Path,
    section: str,
    values: Mapping[str, Any],
    found: dict[str, Source],
    mistakes: list[str],
) -> None:
    for key, value in values.items():
        name = f"{section}.{key}"
        secret = _BY_NAME.get(name.removesuffix("_file"))
        if name in _BY_NAME:
            found[name] = Source(value, str(path))
        elif secret is None or not secret.secret:
            mistakes.append(f"{path}: no setting {name}{_nearest(name, _BY_NAME)}")
        elif secret.key in values:
            mistakes.append(f"{path}: {secret.name} and {name} exclude each other")
        else:
            text = _read_secret(str(value), f"{path}: {name}", mistakes)
            found[secret.name] = Source(text, f"{path} ({value})")


def _from_environment(
    environment: Mapping[str, str], found: dict[str, Source], mistakes: list[str]
) -> None:
    variables = {setting.variable: setting for setting in SETTINGS}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        secret = variables.get(variable.removesuffix("_FILE"))
        if variable in variables:
            found[variables[variable].name] = Source(text, variable)
        elif secret is None or not secret.secret:
            mistakes.append(f"{variable}: no such setting{_nearest(variable, variables)}")
        elif secret.variable in environment:
            mistakes.append(f"{secret.variable} and {variable} exclude each other")
        else:
            found[secret.name] = Source(_read_secret(text, variable, mistakes), variable)


def _from_command_line(
    overrides: Mapping[str, Any], found: dict[str, Source], mistakes: list[str]
) -> None:
    for name, value in overrides.items():
        if name in _BY_NAME:
            found[name] = Source(value, "command line")
        else:
            mistakes.append(f"command line: no setting {name}{_nearest(name, _BY_NAME)}")


def _convert(setting: Setting, source: Source) -> Any:
    value = source.value
    if isinstance(value, str) and isinstance(setting.default, tuple):
        value = [part.strip() for part in value.split(",") if part.strip()]
    converted = msgspec.convert(value, setting.type, strict=False)
    if isinstance(converted, float) and not math.isfinite(converted):
        raise msgspec.ValidationError("Expected a finite number")
    return converted


class Loaded(NamedTuple):
    """Validated settings, and where each that differs from its default came from."""

    settings: Settings
    origins: Mapping[str, str]


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read all sources and return the settings.

    Args:
        file: a TOML file; without it ``WOTKIT_CONFIG`` may name one.
        environment: defaults to the process environment.
        overrides: setting name to value, from the command line.

    Raises:
        ConfigError: with every mistake of every source, not only the first.
    """
    environment = os.environ if environment is None else environment
    found: dict[str, Source] = {}
    mistakes: list[str] = []
    if file is None and environment.get(CONFIG_VARIABLE):
        file = Path(environment[CONFIG_VARIABLE])
    if file is not None:
        _from_file(file, found, mistakes)
    _from_environment(environment, found, mistakes)
    _from_command_line(overrides or {}, found, mistakes)
    sections: dict[str, dict[str, Any]] = {}
    for name, source in found.items():
        setting = _BY_NAME[name]
        try:
            sections.setdefault(setting.section, {})[setting.key] = _convert(setting, source)
        except msgspec.ValidationError as error:
            shown = "" if setting.secret else f" (it is {source.value!r})"
            mistakes.append(f"{source.origin}: {name}: {error}{shown}")
    if mistakes:
        raise ConfigError(mistakes)
    settings = Settings(
        **{
            section.name: section.type(**sections.get(section.name, {}))
            for section in msgspec.structs.fields(Settings)
        }
    )
    return Loaded(settings, {name: source.origin for name, source in found.items()})


def shown(setting: Setting, settings: Settings) -> Any:
    """Return the value of a setting as it may be printed: secrets are masked."""
    value = getattr(getattr(settings, setting.section), setting.key)
    return "********" if setting.secret and value else value


def documentation() -> str:
    """Return the table of settings as Markdown."""
    lines = [
        "| setting | environment | default | meaning |",
        "|---|---|---|---|",
    ]
    for setting in SETTINGS:
        default = msgspec.json.encode(setting.default).decode()
        lines.append(f"| `{setting.name}` | `{setting.variable}` | `{default}` | {setting.help} |")
    return "\n".join(lines) + "\n"
