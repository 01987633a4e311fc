"""Every packet that MQTT allows, for property tests, and cuts of bytes into pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hypothesis import strategies as st

from wotkit.mqtt.codec import (
    AckProperties,
    Auth,
    AuthProperties,
    ConnAck,
    ConnAckProperties,
    Connect,
    ConnectProperties,
    Disconnect,
    DisconnectProperties,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PublishProperties,
    PubRec,
    PubRel,
    Reason,
    SubAck,
    Subscribe,
    SubscribeProperties,
    Subscription,
    UnsubAck,
    Unsubscribe,
    UnsubscribeProperties,
    Version,
    Will,
    WillProperties,
    reasons,
)

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from wotkit.mqtt.codec.reasons import Codes

T = TypeVar("T")

_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(_characters, max_size=12)
_levels = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#/"), max_size=6)
topics = st.lists(_levels, min_size=1, max_size=5).map("/".join).filter(bool)
_beginnings = st.lists(_levels | st.just("+"), max_size=4)
_share_names = _levels.filter(bool)

qualities = st.integers(0, 2)
ids = st.integers(1, 65_535)
u16 = st.integers(0, 65_535)
u32 = st.integers(0, 2**32 - 1)
some = st.binary(max_size=40)
payloads = some | st.binary(min_size=120, max_size=140) | st.just(bytes(16_400))
flags = st.booleans()
user_properties = st.lists(st.tuples(texts, texts), max_size=4).map(tuple) | st.just(
    (("name", "value"),) * 40
)


@st.composite
def plain_filters(draw: st.DrawFn) -> str:
    last = draw(st.just("#") | st.just("+") | _levels)
    return "/".join([*draw(_beginnings), last]) or "/"


def _not_shared(topic_filter: str) -> bool:
    return not topic_filter.startswith("$share/")


filters = plain_filters().filter(_not_shared)
shared_filters = st.builds("$share/{}/{}".format, _share_names, filters)


def maybe(strategy: SearchStrategy[T]) -> SearchStrategy[T | None]:
    return st.none() | strategy


def _reasons(codes: Codes) -> SearchStrategy[Reason]:
    return st.sampled_from(sorted(set(codes.values())))


connect_properties = st.builds(
    ConnectProperties,
    session_expiry_interval=maybe(u32),
    receive_maximum=maybe(ids),
    maximum_packet_size=maybe(st.integers(1, 2**32 - 1)),
    topic_alias_maximum=maybe(u16),
    request_response_information=maybe(flags),
    request_problem_information=maybe(flags),
    authentication_method=texts,
    authentication_data=maybe(some),
    user_properties=user_properties,
) | st.builds(ConnectProperties)
will_properties = st.builds(
    WillProperties,
    will_delay_interval=maybe(u32),
    payload_format_indicator=maybe(st.integers(0, 1)),
    message_expiry_interval=maybe(u32),
    content_type=maybe(texts),
    response_topic=maybe(topics),
    correlation_data=maybe(some),
    user_properties=user_properties,
)
connack_properties = st.builds(
    ConnAckProperties,
    session_expiry_interval=maybe(u32),
    receive_maximum=maybe(ids),
    maximum_qos=maybe(st.integers(0, 1)),
    retain_available=maybe(flags),
    maximum_packet_size=maybe(st.integers(1, 2**32 - 1)),
    assigned_client_identifier=maybe(texts),
    topic_alias_maximum=maybe(u16),
    reason_string=maybe(texts),
    wildcard_subscription_available=maybe(flags),
    subscription_identifiers_available=maybe(flags),
    shared_subscription_available=maybe(flags),
    server_keep_alive=maybe(u16),
    response_information=maybe(texts),
    server_reference=maybe(texts),
    authentication_method=maybe(texts),
    authentication_data=maybe(some),
    user_properties=user_properties,
)
publish_properties = st.builds(
    PublishProperties,
    payload_format_indicator=maybe(st.integers(0, 1)),
    message_expiry_interval=maybe(u32),
    topic_alias=maybe(ids),
    response_topic=maybe(topics),
    correlation_data=maybe(some),
    subscription_identifiers=st.lists(st.integers(1, 268_435_455), max_size=3).map(tuple),
    content_type=maybe(texts),
    user_properties=user_properties,
) | st.builds(PublishProperties)
ack_properties = st.builds(
    AckProperties, reason_string=maybe(texts), user_properties=user_properties
) | st.builds(AckProperties)
subscribe_properties = st.builds(
    SubscribeProperties,
    subscription_identifier=maybe(st.integers(1, 268_435_455)),
    user_properties=user_properties,
)
unsubscribe_properties = st.builds(UnsubscribeProperties, user_properties=user_properties)
disconnect_properties = st.builds(
    DisconnectProperties,
    session_expiry_interval=maybe(u32),
    reason_string=maybe(texts),
    server_reference=maybe(texts),
    user_properties=user_properties,
) | st.builds(DisconnectProperties)
auth_properties = st.builds(
    AuthProperties,
    authentication_method=texts,
    authentication_data=maybe(some),
    reason_string=maybe(texts),
    user_properties=user_properties,
)


def _wills(properties: SearchStrategy[WillProperties]) -> SearchStrategy[Will]:
    return st.builds(Will, topics, payloads, qualities, flags, properties)


def _publishes(properties: SearchStrategy[PublishProperties]) -> SearchStrategy[Publish]:
    return st.builds(Publish, topics, payloads, retain=flags, properties=properties) | st.builds(
        Publish, topics, payloads, st.integers(1, 2), ids, flags, flags, properties
    )


connects_5 = st.builds(
    Connect,
    texts,
    st.just(Version.V5),
    flags,
    u16,
    maybe(texts),
    maybe(some),
    maybe(_wills(will_properties)),
    connect_properties,
)
_named_311 = st.tuples(texts, maybe(some)) | st.just((None, None))
connects_311 = st.builds(
    lambda client_id, clean, keep_alive, named, will: Connect(
        client_id, Version.V311, clean, keep_alive, named[0], named[1], will
    ),
    texts,
    flags,
    u16,
    _named_311,
    maybe(_wills(st.builds(WillProperties))),
)
_aliased = st.builds(
    lambda publish, alias: Publish(
        "", publish.payload, publish.qos, publish.packet_id,
        properties=PublishProperties(topic_alias=alias),
    ),
    _publishes(st.builds(PublishProperties)),
    ids,
)  # fmt: skip
subscriptions_5 = st.builds(
    Subscription, filters, qualities, flags, flags, st.integers(0, 2)
) | st.builds(Subscription, shared_filters, qualities, st.just(False), flags, st.integers(0, 2))


def _several(strategy: SearchStrategy[T]) -> SearchStrategy[tuple[T, ...]]:
    return st.lists(strategy, min_size=1, max_size=5).map(tuple)


BY_VERSION: dict[Version, dict[str, SearchStrategy[Packet]]] = {
    Version.V311: {
        "connect": connects_311,
        "connack": st.builds(
            ConnAck, st.sampled_from(sorted(set(reasons.CONNACK_311.values()) - {Reason.SUCCESS}))
        )
        | st.builds(ConnAck, session_present=flags),
        "publish": _publishes(st.builds(PublishProperties)),
        **{
            kind.__name__.lower(): st.builds(kind, ids)
            for kind in (PubAck, PubRec, PubRel, PubComp)
        },
        "subscribe": st.builds(
            Subscribe,
            ids,
            _several(st.builds(Subscription, filters | shared_filters, qualities)),
        ),
        "suback": st.builds(SubAck, ids, _several(_reasons(reasons.SUBACK_311))),
        "unsubscribe": st.builds(Unsubscribe, ids, _several(filters)),
        "unsuback": st.builds(UnsubAck, ids),
        "pingreq": st.builds(PingReq),
        "pingresp": st.builds(PingResp),
        "disconnect": st.builds(Disconnect),
    },
    Version.V5: {
        "connect": connects_5,
        "connack": st.builds(
            ConnAck,
            _reasons({code: name for code, name in reasons.CONNACK.items() if code}),
            properties=connack_properties,
        )
        | st.builds(ConnAck, session_present=flags, properties=connack_properties),
        "publish": _publishes(publish_properties) | _aliased,
        **{
            kind.__name__.lower(): st.builds(kind, ids, _reasons(codes), ack_properties)
            for kind, codes in (
                (PubAck, reasons.PUBLISH_FROM_ANY),
                (PubRec, reasons.PUBLISH_FROM_ANY),
                (PubRel, reasons.RELEASE),
                (PubComp, reasons.RELEASE),
            )
        },
        "subscribe": st.builds(Subscribe, ids, _several(subscriptions_5), subscribe_properties),
        "suback": st.builds(SubAck, ids, _several(_reasons(reasons.SUBACK)), ack_properties),
        "unsubscribe": st.builds(
            Unsubscribe, ids, _several(filters | shared_filters), unsubscribe_properties
        ),
        "unsuback": st.builds(UnsubAck, ids, _several(_reasons(reasons.UNSUBACK)), ack_properties),
        "pingreq": st.builds(PingReq),
        "pingresp": st.builds(PingResp),
        "disconnect": st.builds(Disconnect, _reasons(reasons.DISCONNECT), disconnect_properties),
        "auth": st.builds(Auth, _reasons(reasons.AUTH), auth_properties) | st.builds(Auth),
    },
}
"""Strategies by version and name of the packet."""

FROM_CLIENTS = ("publish", "subscribe", "unsubscribe", "pingreq")
"""Of these, what clients send and servers parse most."""


def packets(version: Version) -> SearchStrategy[Packet]:
    return st.one_of(*BY_VERSION[version].values())


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut bytes into pieces, some of them empty."""
    places = sorted(cut % (len(data) + 1) for cut in cuts)
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


cuts = st.lists(st.integers(0, 2**16), max_size=8)
