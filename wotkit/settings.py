"""The settings table: name, type, default, limits and help of each setting are written here, once.

:mod:`wotkit.config` fills it from the file, the environment and the command line.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from msgspec import Meta, Struct


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
            "before it; empty means the address of each request. Links for forgotten passwords "
            "are sent only where it is set, or where the server is reached by its own IP address."
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


class OAuthSettings(Struct, frozen=True, kw_only=True):
    """Applications that act for users (OAuth2)."""

    access_token_seconds: Annotated[
        int,
        Meta(
            ge=60,
            le=31_536_000,
            description="Seconds an access token is good, unless its application has its own life.",
        ),
    ] = 43_200
    refresh_token_seconds: Annotated[
        int,
        Meta(
            ge=3600,
            le=315_360_000,
            description="Seconds within which a refresh token must be used; each use gives a new "
            "one. An application may have its own life.",
        ),
    ] = 7_776_000
    developer_token_seconds: Annotated[
        int,
        Meta(
            ge=60,
            le=315_360_000,
            description="Seconds a developer token that is made on the web page is good.",
        ),
    ] = 31_536_000
    code_seconds: Annotated[
        int, Meta(ge=1, le=600, description="Seconds an authorization code is good.")
    ] = 60
    device_code_seconds: Annotated[
        int, Meta(ge=1, le=3600, description="Seconds a device waits for its user.")
    ] = 600
    device_interval_seconds: Annotated[
        int, Meta(ge=1, le=60, description="Seconds between two questions of a waiting device.")
    ] = 5


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
    max_gateways: Annotated[
        int, _count("Gateways of one user that are known by their reports; more are refused.")
    ] = 2_000
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


class LiveSettings(Struct, frozen=True, kw_only=True):
    """Live streams of readings."""

    max_streams: Annotated[
        int, _count("Streams that may be open at a time; more is answered 503.")
    ] = 2_000
    max_per_user: Annotated[
        int,
        _count(
            "Streams one user may have open; more is answered 429. Those without credentials count "
            "by their address."
        ),
    ] = 100
    max_sensors: Annotated[int, _count("Sensors one stream may follow.")] = 10_000
    queue_readings: Annotated[
        int, _count("Readings that may wait for one stream's client; beyond it, it is cut off.")
    ] = 1_000
    queue_bytes: Annotated[
        int, _count("Bytes of readings that may wait for one stream's client, likewise.")
    ] = 1_048_576
    heartbeat_seconds: Annotated[
        float,
        Meta(ge=0.1, description="Seconds without a reading after which a heartbeat is sent."),
    ] = 15.0
    stall_seconds: Annotated[
        float,
        Meta(ge=0.1, description="Seconds after which a client that takes nothing is cut off."),
    ] = 30.0


class AlertSettings(Struct, frozen=True, kw_only=True):
    """Alerts, their inbox and their deliveries."""

    max_per_user: Annotated[int, _count("Alerts one user may have.")] = 20
    max_conditions: Annotated[int, _count("Conditions one alert may have.")] = 20
    check_seconds: Annotated[
        float,
        Meta(ge=0.1, description="How often silent sensors and gateways are looked for."),
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
    waiting_deliveries: Annotated[
        int,
        _count(
            "E-mails and webhooks of one alert that may wait to be sent; what it fires beyond that "
            "is in the inbox only."
        ),
    ] = 100
    kept_deliveries: Annotated[
        int, _count("Deliveries of one alert in its log, beside those that wait; the oldest go.")
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


class WebSettings(Struct, frozen=True, kw_only=True):
    """The pages for browsers."""

    registration: Annotated[
        Literal["closed", "invitation", "open"],
        Meta(
            description="Who may register on the web page: nobody, who has a link from an "
            "administrator, or anybody. The demo is open."
        ),
    ] = "closed"
    idle_seconds: Annotated[
        float, _seconds("Seconds without a request after which a browser is signed out.")
    ] = 1_209_600.0
    absolute_seconds: Annotated[
        float, _seconds("Seconds after which a browser is signed out in any case.")
    ] = 7_776_000.0
    link_seconds: Annotated[
        float, _seconds("Seconds for which a link works that lets somebody choose a password.")
    ] = 86_400.0


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


class MqttSettings(Struct, frozen=True, kw_only=True):
    """Gateways over MQTT."""

    enabled: Annotated[bool, Meta(description="Whether the server speaks MQTT itself.")] = True
    host: Annotated[
        str, Meta(description="Address to listen on; empty means that of server.host.")
    ] = ""
    port: Annotated[
        int, Meta(ge=0, le=65535, description="TCP port of MQTT without TLS; 0 takes any.")
    ] = 1883
    tls_port: Annotated[
        int, Meta(ge=0, le=65535, description="TCP port of MQTT with TLS; 0 takes any.")
    ] = 8883
    tls_certificate: Annotated[
        str,
        Meta(description="PEM file of the certificate with its chain; empty means no TLS here."),
    ] = ""
    tls_key: Annotated[str, Meta(description="PEM file of the certificate's key.")] = ""
    backlog: Annotated[int, _count("Connections the kernel queues before they are accepted.")] = (
        2048
    )
    max_packet_bytes: Annotated[
        int,
        Meta(ge=1024, le=268_435_455, description="Bytes of a packet from a client at most."),
    ] = 262_144
    receive_maximum: Annotated[
        int,
        Meta(
            ge=1,
            le=65_535,
            description="Publishes of a client that wait for their acknowledgement at most.",
        ),
    ] = 100
    connect_seconds: Annotated[
        float, Meta(gt=0, description="Seconds within which a connection must say who it is.")
    ] = 10.0
    max_keep_alive_seconds: Annotated[
        int,
        Meta(
            ge=5,
            le=65_535,
            description="Seconds after which a silent client must ping, at most; also for those "
            "that ask for more or for none.",
        ),
    ] = 300
    max_session_seconds: Annotated[
        int,
        Meta(
            ge=0,
            description="Seconds at most for which a session is kept after its connection ended.",
        ),
    ] = 604_800
    max_sessions_per_key: Annotated[int, _count("Sessions of one key that are kept at most.")] = (
        1000
    )
    max_connections: Annotated[int, _count("Connections of all clients at most.")] = 20_000
    max_connections_per_key: Annotated[int, _count("Connections of one key at most.")] = 2000
    max_subscriptions: Annotated[int, _count("Subscriptions of one session at most.")] = 1000
    max_pending: Annotated[
        int,
        _count(
            "Publishes of all clients that wait for their commit at most; beyond it the server "
            "reads no more from the clients until there is room."
        ),
    ] = 50_000
    max_topic_aliases: Annotated[
        int, Meta(ge=0, le=65_535, description="Topic aliases of a connection at most.")
    ] = 16
    max_unsent_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            description="Bytes that may wait for a client to read them; beyond it the client is "
            "disconnected.",
        ),
    ] = 1_048_576
    stall_seconds: Annotated[
        float,
        Meta(gt=0, description="Seconds a client may leave unread what it is sent."),
    ] = 30.0
    commands_in_flight: Annotated[
        int, _count("Messages to actuators that a client has not acknowledged at most.")
    ] = 20
    broker_url: Annotated[
        str,
        Meta(
            pattern=r"^(mqtts?://[^/?#\s]+/?)?$",
            description="Address of a broker at which gateways publish, such as "
            "mqtts://broker.example:8883; empty means that there is none. What they publish is "
            "read from there.",
        ),
    ] = ""
    broker_user: Annotated[
        str, Meta(description="Name under which the server signs in at the broker.")
    ] = ""
    broker_password: Annotated[str, Meta(description="Password to sign in with there.")] = ""
    broker_ca: Annotated[
        str,
        Meta(
            description="PEM file of the authority that signed the broker's certificate; empty "
            "means those that the operating system trusts."
        ),
    ] = ""
    broker_client_id: Annotated[
        str,
        Meta(
            min_length=1,
            description="Client id of the server at the broker, which keeps messages for it while "
            "it is away.",
        ),
    ] = "wotkit"
    broker_in_flight: Annotated[
        int,
        Meta(
            ge=1,
            le=65_535,
            description="Messages of the broker that wait for their commit at most.",
        ),
    ] = 1000
    broker_queue_bytes: Annotated[
        int,
        _count(
            "Memory for messages of the broker that cannot be stored yet; beyond it those of "
            "QoS 0 are dropped, which the broker would not hold back."
        ),
    ] = 16_777_216
    broker_shared: Annotated[
        bool,
        Meta(
            description="Whether several servers, each with a client id of its own, share what "
            "the broker has, if it can do that (shared subscriptions)."
        ),
    ] = False
    mosquitto_hashes: Annotated[
        bool,
        Meta(
            description="Whether keys get a hash by which mosquitto knows their passwords, when "
            "they are made or given another one."
        ),
    ] = False
    mosquitto_iterations: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Iterations of these hashes (PBKDF2). Mosquitto repeats them at every "
            "connection, while everybody else waits; passwords of keys are random, so few are "
            "enough.",
        ),
    ] = 101
    export_mosquitto: Annotated[
        str,
        Meta(
            description="Folder in which the server keeps mosquitto's files `passwords` and `acl` "
            "up to date; empty means that it does not."
        ),
    ] = ""
    mosquitto_pid_file: Annotated[
        str,
        Meta(description="File with mosquitto's process id, which is told to read its files anew."),
    ] = ""
    authorizer_addresses: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses or networks of brokers that may ask under /internal/mqtt who "
            "may connect and which topics a client may use."
        ),
    ] = ("127.0.0.1", "::1")
    secret_for_brokers: Annotated[
        str,
        Meta(
            description="Secret that brokers elsewhere send in the header X-WoTKit-Secret to ask "
            "the same; empty means that the address alone counts."
        ),
    ] = ""
    scoped_client_ids: Annotated[
        bool,
        Meta(
            description="Whether a broker is told to refuse clients whose id does not begin with "
            "their key id. Without it, who guesses the client id of another key ends its "
            "connection, and with some brokers takes over its session."
        ),
    ] = False
    rabbitmq_vhost: Annotated[
        str, Meta(description="Virtual host of RabbitMQ that keys may use.")
    ] = "/"


class Settings(Struct, frozen=True, kw_only=True):
    """Every setting, by section."""

    server: ServerSettings = ServerSettings()
    storage: StorageSettings = StorageSettings()
    http: HttpSettings = HttpSettings()
    auth: AuthSettings = AuthSettings()
    oauth: OAuthSettings = OAuthSettings()
    ingest: IngestSettings = IngestSettings()
    query: QuerySettings = QuerySettings()
    control: ControlSettings = ControlSettings()
    live: LiveSettings = LiveSettings()
    mqtt: MqttSettings = MqttSettings()
    alerts: AlertSettings = AlertSettings()
    mail: MailSettings = MailSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()

    @property
    def data_folder(self) -> Path:
        """The data folder, absolute."""
        data = self.storage.data
        return Path(data).absolute() if data else default_data_folder()
