"""The URL table: which resource answers which path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

V1_BASES: Final = ("/api/v1", "/api")
V2_BASE: Final = "/api/v2"


class Resources(NamedTuple):
    """Every resource, wired by :mod:`wotkit.app`."""

    sensors: Any
    sensor: Any
    fields: Any
    field: Any
    subscriptions: Any
    sensor_subscription: Any
    groups: Any
    group: Any
    group_sensor: Any
    tags: Any
    orgs: Any
    org: Any
    members: Any
    member: Any
    users: Any
    user: Any
    news: Any
    stats: Any
    readings: Any
    readings_at: Any
    data_table: Any
    data: Any
    readings_v2: Any
    reading: Any
    latest: Any
    batch: Any
    ingest: Any
    stream: Any
    mqtt: Any
    messages: Any
    message: Any
    control_subscription: Any
    control_acknowledgements: Any
    alerts: Any
    alert: Any
    alert_test: Any
    alert_deliveries: Any
    inbox: Any
    inbox_message: Any
    keys: Any
    key: Any
    key_rotation: Any
    audit: Any
    apps: Any
    app: Any
    app_rotation: Any
    signing_secret: Any
    developer_token: Any
    grants: Any
    grant: Any
    gateways: Any
    gateway: Any
    gateway_status: Any
    oauth_token: Any
    oauth_revoke: Any
    oauth_introspect: Any
    oauth_device: Any
    oauth_metadata: Any
    frob: Any
    frob_token: Any
    rabbitmq: Any
    emqx: Any
    vernemq: Any
    go_auth: Any
    openapi: Any
    reference: Any
    reference_asset: Any
    documentation: Any
    documentation_home: Any
    health: Any
    ready: Any
    metrics: Any


class Route(NamedTuple):
    """One path and the resource that answers it."""

    path: str
    resource: Any


def shared(resources: Resources) -> Iterator[Route]:
    """Yield what both versions have, relative to a base."""
    yield Route("/sensors", resources.sensors)
    yield Route("/sensors/{sensor}", resources.sensor)
    yield Route("/sensors/{sensor}/fields", resources.fields)
    yield Route("/sensors/{sensor}/fields/{field}", resources.field)
    yield Route("/subscribe", resources.subscriptions)
    yield Route("/subscribe/{sensor}", resources.sensor_subscription)
    yield Route("/groups", resources.groups)
    yield Route("/groups/{group}", resources.group)
    yield Route("/groups/{group}/sensors/{sensor}", resources.group_sensor)
    yield Route("/tags", resources.tags)
    yield Route("/orgs", resources.orgs)
    yield Route("/orgs/{org}", resources.org)
    yield Route("/orgs/{org}/members", resources.members)
    yield Route("/orgs/{org}/members/{user}", resources.member)
    yield Route("/users", resources.users)
    yield Route("/users/{user}", resources.user)
    yield Route("/news", resources.news)
    yield Route("/stats", resources.stats)
    yield Route("/sensors/{sensor}/dataTable", resources.data_table)
    yield Route("/sensors/{sensor}/message", resources.messages)
    yield Route("/sensors/{sensor}/message/{message}", resources.message)
    yield Route("/control/sub/{subscription}", resources.control_subscription)
    yield Route("/control/sub/{subscription}/ack", resources.control_acknowledgements)


def v1(resources: Resources) -> Iterator[Route]:
    """Yield version 1, relative to a base."""
    yield from shared(resources)
    yield Route("/data", resources.data)
    yield Route("/sensors/{sensor}/data", resources.readings)
    yield Route("/sensors/{sensor}/data/{timestamp}", resources.readings_at)


def v2(resources: Resources) -> Iterator[Route]:
    """Yield version 2, relative to its base."""
    yield from shared(resources)
    yield Route("/sensors/{sensor}/data", resources.readings_v2)
    yield Route("/sensors/{sensor}/data/{reading}", resources.reading)
    yield Route("/sensors/{sensor}/latest", resources.latest)
    yield Route("/data", resources.batch)
    yield Route("/ingest", resources.ingest)
    yield Route("/stream", resources.stream)
    yield Route("/alerts", resources.alerts)
    yield Route("/alerts/{alert}", resources.alert)
    yield Route("/alerts/{alert}/test", resources.alert_test)
    yield Route("/alerts/{alert}/deliveries", resources.alert_deliveries)
    yield Route("/inbox", resources.inbox)
    yield Route("/inbox/{message}", resources.inbox_message)
    yield Route("/keys", resources.keys)
    yield Route("/keys/{key}", resources.key)
    yield Route("/keys/{key}/rotate", resources.key_rotation)
    yield Route("/audit", resources.audit)
    yield Route("/apps", resources.apps)
    yield Route("/apps/{app}", resources.app)
    yield Route("/apps/{app}/rotate", resources.app_rotation)
    yield Route("/apps/{app}/signing-secret", resources.signing_secret)
    yield Route("/apps/{app}/developer-token", resources.developer_token)
    yield Route("/grants", resources.grants)
    yield Route("/grants/{grant}", resources.grant)
    yield Route("/gateways", resources.gateways)
    yield Route("/gateways/{gateway}", resources.gateway)
    yield Route("/gateways/{gateway}/status", resources.gateway_status)


def others(resources: Resources) -> Iterator[Route]:
    """Yield what has no version."""
    yield Route("/api/oauth/token", resources.oauth_token)
    yield Route("/api/oauthv2/token", resources.oauth_token)
    yield Route("/api/oauth/revoke", resources.oauth_revoke)
    yield Route("/api/oauth/introspect", resources.oauth_introspect)
    yield Route("/api/oauth/device_authorization", resources.oauth_device)
    yield Route("/.well-known/oauth-authorization-server", resources.oauth_metadata)
    for form in ("", "/json", "/xml"):
        yield Route(f"/api/auth.getFrob{form}", resources.frob)
        yield Route(f"/api/auth.getToken{form}", resources.frob_token)
    yield Route("/mqtt", resources.mqtt)
    yield Route("/internal/mqtt/rabbitmq/{question}", resources.rabbitmq)
    yield Route("/internal/mqtt/emqx/{question}", resources.emqx)
    yield Route("/internal/mqtt/vernemq/{question}", resources.vernemq)
    yield Route("/internal/mqtt/go-auth/{question}", resources.go_auth)
    yield Route("/api/openapi.json", resources.openapi)
    yield Route("/api/reference", resources.reference)
    yield Route("/api/reference/{asset}", resources.reference_asset)
    yield Route("/docs", resources.documentation_home)
    yield Route("/docs/{page}", resources.documentation)
    yield Route("/healthz", resources.health)
    yield Route("/readyz", resources.ready)
    yield Route("/metrics", resources.metrics)


def table(resources: Resources) -> list[Route]:
    """Return every route of the server."""
    routes = [
        Route(base + route.path, route.resource) for base in V1_BASES for route in v1(resources)
    ]
    routes += [Route(V2_BASE + route.path, route.resource) for route in v2(resources)]
    routes += others(resources)
    return routes
