"""Wires the server together: settings, then stores, then resources, then the URL table."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import falcon.asgi

from wotkit import routes
from wotkit.alerts.deliver import Courier
from wotkit.alerts.evaluate import Evaluator
from wotkit.alerts.transports.email import EmailTransport
from wotkit.alerts.transports.webhook import WebhookTransport
from wotkit.api import errors as api_errors
from wotkit.api.caller import Callers
from wotkit.api.frob import FrobResource, FrobTokenResource
from wotkit.api.health import HealthResource, MetricsResource, ReadyResource
from wotkit.api.internal.brokers import (
    EmqxResource,
    GoAuthResource,
    RabbitMqResource,
    VerneMqResource,
)
from wotkit.api.internal.gate import Gate
from wotkit.api.mqtt import MqttResource
from wotkit.api.oauth.metadata import MetadataResource
from wotkit.api.oauth.resources import (
    DeviceAuthorizationResource,
    IntrospectResource,
    RevokeResource,
    TokenResource,
)
from wotkit.api.openapi import Document, OpenApiResource
from wotkit.api.reference import Page, ReferenceAssetResource, ReferenceResource
from wotkit.api.shortcut import Shortcut
from wotkit.api.v1.activity import Activity
from wotkit.api.v1.control import (
    AcknowledgementsResource,
    MessageResource,
    MessagesResource,
    SubscriptionResource,
)
from wotkit.api.v1.data import DataResource
from wotkit.api.v1.data_table import DataTableResource
from wotkit.api.v1.fields import FieldResource, FieldsResource
from wotkit.api.v1.groups import GroupResource, GroupSensorResource, GroupsResource
from wotkit.api.v1.news import NewsResource
from wotkit.api.v1.orgs import MemberResource, MembersResource, OrgResource, OrgsResource
from wotkit.api.v1.readings import ReadingsAtResource, ReadingsResource
from wotkit.api.v1.sensors import SensorResource, SensorsResource
from wotkit.api.v1.stats import StatsResource
from wotkit.api.v1.subscriptions import SensorSubscriptionResource, SubscriptionsResource
from wotkit.api.v1.tags import TagsResource
from wotkit.api.v1.users import UserResource, UsersResource
from wotkit.api.v2.alerts import (
    AlertDeliveriesResource,
    AlertResource,
    AlertsResource,
    AlertTestResource,
)
from wotkit.api.v2.apps import (
    AppResource,
    AppRotationResource,
    AppsResource,
    DeveloperTokenResource,
    SigningSecretResource,
)
from wotkit.api.v2.audit import AuditResource
from wotkit.api.v2.batch import BatchResource
from wotkit.api.v2.gateways import GatewayResource, GatewaysResource, GatewayStatusResource
from wotkit.api.v2.grants import GrantResource, GrantsResource
from wotkit.api.v2.inbox import InboxMessageResource, InboxResource
from wotkit.api.v2.ingest import IngestResource
from wotkit.api.v2.keys import KeyResource, KeyRotationResource, KeysResource
from wotkit.api.v2.readings import LatestResource, ReadingResource
from wotkit.api.v2.readings import ReadingsResource as ReadingsResourceV2
from wotkit.api.v2.stream import StreamResource
from wotkit.api.v2.stream_caller import StreamCallers
from wotkit.auth.authenticator import Authenticator
from wotkit.auth.secret import secret_key
from wotkit.catalog import Catalog
from wotkit.catalog.watch import TurnWatch
from wotkit.control.channel import Channel
from wotkit.edge import ROUTE, Connections, Edge
from wotkit.ingest.accept import Ingest
from wotkit.ingest.directory import SensorDirectory
from wotkit.ingest.door import Door
from wotkit.ingest.rates import RateLimiter
from wotkit.live.hub import Hub
from wotkit.live.streams import Streams
from wotkit.metrics import (
    Collector,
    IngestMetrics,
    LiveMetrics,
    MqttMetrics,
    RequestMetrics,
    SizeMetrics,
)
from wotkit.mqtt.authorize import Account, Authority
from wotkit.mqtt.broker import broker_of
from wotkit.mqtt.listening import Listening
from wotkit.mqtt.vouched import Vouched
from wotkit.readings.readers import ReaderPool
from wotkit.readings.sqlite import FILE_NAME, SqliteStore
from wotkit.upkeep.housekeeping import Housekeeping
from wotkit.web.documentation import (
    Documentation,
    DocumentationHomeResource,
    DocumentationResource,
)
from wotkit.web.entrance import Entrance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wotkit.mqtt.bridge import Bridge
    from wotkit.mqtt.broker import Broker
    from wotkit.mqtt.listening import Bound
    from wotkit.mqtt.mosquitto import Exporter
    from wotkit.mqtt.service import Service
    from wotkit.settings import Settings


class Parts:
    """The parts of a running server that need starting and stopping, and what they share."""

    def __init__(self, settings: Settings, mqtt_sockets: Sequence[Bound] = ()) -> None:
        folder = settings.data_folder
        self.settings = settings
        self.secret_key = secret_key(settings, folder)
        self.catalog = Catalog(folder, busy_seconds=settings.storage.busy_seconds)
        self.store = SqliteStore(folder / FILE_NAME, busy_seconds=settings.storage.busy_seconds)
        self.readers = ReaderPool(self.store, settings.storage.readers)
        self._watch = watch = TurnWatch(self.catalog.watch())
        self.authenticator = Authenticator(self.catalog, settings.auth, watch, self.secret_key)
        self.vouched = Vouched(self.catalog, watch)
        self.requests = RequestMetrics()
        self.ingest_metrics = IngestMetrics()
        self.hub = Hub()
        self.door = Door(self.store, settings.ingest, self.ingest_metrics, self.hub)
        self.courier = Courier(
            self.catalog,
            {"email": EmailTransport(settings.mail), "webhook": WebhookTransport(settings.alerts)},
            settings,
        )
        self.evaluator = Evaluator(
            self.catalog,
            self.catalog.watch(),
            self.readers,
            self.hub,
            settings.alerts,
            self.courier.wake,
        )
        self.directory = SensorDirectory(self.catalog, watch, settings.ingest)
        self.ingest = Ingest(
            self.directory,
            self.door,
            RateLimiter(settings.ingest),
            settings.ingest,
            self.ingest_metrics,
        )
        self.live_metrics = LiveMetrics()
        self.streams = Streams(
            self.catalog, self.hub, self.readers, settings.live, self.live_metrics
        )
        self.mqtt_metrics = MqttMetrics()
        self.connections = Connections()
        self.channel = Channel(self.catalog, self.catalog.watch_messages(), settings.control)
        self.housekeeping = Housekeeping(
            self.catalog, self.door, self.authenticator, self.channel, settings
        )

        self.listening = Listening(mqtt_sockets, settings.mqtt, self._make_mqtt)
        self.broker = broker_of(settings.mqtt)
        self._bridge: Bridge | None = None
        self._exporter: Exporter | None = None

    def _make_mqtt(self) -> Service:
        from wotkit.mqtt.holders import Holders  # in memory only where clients connect
        from wotkit.mqtt.inbound import Inbound
        from wotkit.mqtt.service import Service

        return Service(
            self.settings.mqtt,
            self.catalog,
            self.authenticator,
            Holders(self.catalog, self._watch, self.catalog.watch()),
            self.ingest,
            Inbound(self.catalog, self.ingest, self.directory, self.settings.ingest),
            self.channel,
            self.streams,
            self.mqtt_metrics,
        )

    def _make_bridge(self, broker: Broker) -> Bridge:
        from wotkit.mqtt.bridge import Bridge  # in memory only where there is a broker
        from wotkit.mqtt.inbound import Inbound

        return Bridge(
            broker,
            self.settings.mqtt,
            self.catalog,
            self.vouched,
            self.ingest,
            Inbound(self.catalog, self.ingest, self.directory, self.settings.ingest),
            self.channel,
        )

    def _make_exporter(self) -> Exporter:
        from wotkit.mqtt.mosquitto import Exporter  # in memory only where it is wanted

        return Exporter(self.settings.mqtt, self.catalog, self.catalog.watch(), self.broker)

    def start(self) -> None:
        """Start what works by itself; to be called in the event loop."""
        self.door.start()
        self.listening.start()
        if self.broker is not None:
            self._bridge = bridge = self._make_bridge(self.broker)
            self.mqtt_metrics.watch_bridge(lambda: bridge.connected)
            self._bridge.start()
        if self.settings.mqtt.export_mosquitto:
            self._exporter = self._make_exporter()
            self._exporter.start()
        self.evaluator.start()
        self.courier.start()
        self.housekeeping.start()

    async def stop_waiting(self) -> None:
        """Answer requests that wait for something to happen; the server is about to stop."""
        self.channel.stop_waiting()
        await asyncio.gather(self.streams.stop(), self.listening.stop())

    async def stop(self) -> None:
        """Finish what was accepted, then close everything."""
        await self.listening.stop()
        if self._bridge is not None:
            await self._bridge.stop()
        if self._exporter is not None:
            await self._exporter.stop()
        await self.housekeeping.stop()
        await self.channel.close()
        await self.streams.close()
        await self.door.close()
        await self.evaluator.stop()
        await self.courier.stop()
        self.readers.close()
        self.store.close()
        self.authenticator.close()
        self.catalog.close()


class Lifecycle:
    """Starts and stops the parts with the server."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def process_startup(self, _scope: Any, _event: Any) -> None:
        """Start the parts before the first request."""
        self._parts.start()

    async def process_shutdown(self, _scope: Any, _event: Any) -> None:
        """Stop the parts after the last request."""
        await self._parts.stop()


class Request(falcon.asgi.Request):
    """Leaves the route that the framework found where the outermost layer counts it."""

    @property
    def uri_template(self) -> str | None:
        """The route, such as ``/api/sensors/{sensor}``; None before it is found."""
        return self.scope.get(ROUTE)

    @uri_template.setter
    def uri_template(self, template: str | None) -> None:
        self.scope[ROUTE] = template


def create_app(settings: Settings, mqtt_sockets: Sequence[Bound] = ()) -> Edge:
    """Return the ASGI application; to be called in the thread of its event loop.

    It serves MQTT on these sockets, too.
    """
    parts = Parts(settings, mqtt_sockets)
    app: falcon.asgi.App[Any, Any] = falcon.asgi.App(
        middleware=Lifecycle(parts), request_type=Request
    )
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = True
    api_errors.install(app)
    resources = create_resources(parts)
    for route in routes.table(resources):
        app.add_route(route.path, route.resource)
    entrance = Entrance(app, partial(_create_site, parts))
    shortcut = Shortcut(
        entrance, parts.authenticator, parts.directory, parts.ingest, settings.http.max_body_bytes
    )
    return Edge(
        shortcut,
        settings,
        parts.requests,
        stop_waiting=parts.stop_waiting,
        connections=parts.connections,
    )


def _create_site(parts: Parts) -> Any:
    from wotkit.web.site import create_site  # in memory only where pages are asked for

    return create_site(parts.settings, parts.catalog, parts.authenticator, parts.secret_key)


def create_resources(parts: Parts) -> routes.Resources:
    """Return every resource, with what it needs."""
    settings, catalog = parts.settings, parts.catalog
    callers = Callers(parts.authenticator, settings.http.max_body_bytes)
    document = Document(lambda: routes.table(resources))
    page = Page(document)
    readings = (callers, parts.ingest, parts.directory, parts.readers, settings)
    sensors = (catalog, callers, parts.readers, parts.door, settings)
    alerts = (catalog, callers, parts.readers, settings)
    groups = (catalog, callers, parts.readers, settings)
    orgs = (catalog, callers, parts.door, settings)
    activity = Activity(parts.readers, parts.hub, settings.query)
    data = (catalog, callers, parts.readers, activity, settings)
    brokers = (
        Authority(
            parts.authenticator,
            parts.vouched,
            bridge=None if parts.broker is None else Account.of(parts.broker),
            scoped_client_ids=settings.mqtt.scoped_client_ids,
        ),
        Gate(settings.mqtt.authorizer_addresses, settings.mqtt.secret_for_brokers),
    )
    resources = routes.Resources(
        sensors=SensorsResource(*sensors, activity),
        sensor=SensorResource(*sensors),
        fields=FieldsResource(*sensors),
        field=FieldResource(*sensors),
        subscriptions=SubscriptionsResource(catalog, callers, parts.readers),
        sensor_subscription=SensorSubscriptionResource(catalog, callers),
        groups=GroupsResource(*groups),
        group=GroupResource(*groups),
        group_sensor=GroupSensorResource(*groups),
        tags=TagsResource(catalog, callers, activity),
        orgs=OrgsResource(*orgs),
        org=OrgResource(*orgs),
        members=MembersResource(*orgs),
        member=MemberResource(*orgs),
        users=UsersResource(catalog, callers, settings),
        user=UserResource(catalog, callers, settings),
        news=NewsResource(catalog, callers),
        stats=StatsResource(catalog, callers, activity),
        readings=ReadingsResource(*readings),
        readings_at=ReadingsAtResource(callers, parts.ingest),
        data_table=DataTableResource(catalog, callers, parts.directory, parts.readers, settings),
        data=DataResource(*data),
        readings_v2=ReadingsResourceV2(*readings, catalog),
        reading=ReadingResource(callers, parts.ingest, parts.directory, parts.readers),
        latest=LatestResource(callers, parts.directory, parts.readers),
        batch=BatchResource(*data, parts.ingest),
        ingest=IngestResource(callers, parts.ingest, settings),
        stream=StreamResource(
            StreamCallers(callers, catalog, settings), parts.streams, parts.connections
        ),
        mqtt=MqttResource(parts.listening, parts.connections),
        messages=MessagesResource(callers, parts.channel, settings),
        message=MessageResource(catalog, callers),
        control_subscription=SubscriptionResource(catalog, callers, parts.channel, settings),
        control_acknowledgements=AcknowledgementsResource(catalog, callers, settings),
        alerts=AlertsResource(*alerts),
        alert=AlertResource(*alerts),
        alert_test=AlertTestResource(*alerts),
        alert_deliveries=AlertDeliveriesResource(*alerts),
        inbox=InboxResource(catalog, callers),
        inbox_message=InboxMessageResource(catalog, callers, settings),
        keys=KeysResource(catalog, callers, settings),
        key=KeyResource(catalog, callers, settings),
        key_rotation=KeyRotationResource(catalog, callers, settings),
        audit=AuditResource(catalog, callers),
        apps=AppsResource(catalog, callers, settings),
        app=AppResource(catalog, callers, settings),
        app_rotation=AppRotationResource(catalog, callers, settings),
        signing_secret=SigningSecretResource(catalog, callers, settings, parts.secret_key),
        developer_token=DeveloperTokenResource(catalog, callers, settings),
        grants=GrantsResource(catalog, callers),
        grant=GrantResource(catalog, callers),
        gateways=GatewaysResource(catalog, callers),
        gateway=GatewayResource(catalog, callers),
        gateway_status=GatewayStatusResource(catalog, callers, settings.ingest),
        oauth_token=TokenResource(catalog, settings, parts.authenticator),
        oauth_revoke=RevokeResource(catalog, settings),
        oauth_introspect=IntrospectResource(catalog, settings),
        oauth_device=DeviceAuthorizationResource(catalog, settings),
        oauth_metadata=MetadataResource(settings),
        frob=FrobResource(catalog, parts.secret_key),
        frob_token=FrobTokenResource(catalog, parts.secret_key),
        rabbitmq=RabbitMqResource(*brokers, settings.mqtt.rabbitmq_vhost),
        emqx=EmqxResource(*brokers),
        vernemq=VerneMqResource(*brokers),
        go_auth=GoAuthResource(*brokers),
        openapi=OpenApiResource(document),
        reference=ReferenceResource(page, settings.server.public_url),
        reference_asset=ReferenceAssetResource(page),
        documentation=DocumentationResource(Documentation()),
        documentation_home=DocumentationHomeResource(),
        health=HealthResource(),
        ready=ReadyResource(catalog, parts.door),
        metrics=MetricsResource(
            Collector(
                parts.requests.families,
                parts.ingest_metrics.families,
                parts.live_metrics.families,
                parts.mqtt_metrics.families,
                SizeMetrics(parts.catalog.size_bytes, parts.store.size_bytes).families,
            ),
            catalog,
            parts.mqtt_metrics,
        ),
    )
    return resources
