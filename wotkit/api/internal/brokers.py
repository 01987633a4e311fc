"""``POST /internal/mqtt/…``: brokers ask who may connect and which topics a client may use.

Each product asks and is answered in its own form; all are answered by one decision
(:mod:`wotkit.mqtt.authorize`). Whatever goes wrong is a denial in that form: EMQX takes any status
but 200 for "no opinion" and would go on to let the client in.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta, Struct

from wotkit import strict_json
from wotkit.api.caller import address_of
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import FORM, media_type, parse_form, read_body
from wotkit.api.responses import answer_json
from wotkit.errors import WotkitError
from wotkit.mqtt.authorize import Verb, topic_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import falcon.asgi

    from wotkit.api.internal.gate import Gate
    from wotkit.mqtt.authorize import Authority

TAG: Final = "Brokers"
BODY_BYTES: Final = 2 * 1024 * 1024
"""VerneMQ sends the message along, encoded."""
QUEUE: Final = "mqtt-subscription-{client_id}qos"
EXCHANGE: Final = "amq.topic"

_NOT_AUTHORIZED: Final = 135
"""MQTT 5 section 3.9.3."""
_FAILURE: Final = 128
"""MQTT 3.1.1 section 3.9.3."""

_log: Final = logging.getLogger(__name__)

Given = dict[str, Any]


class EmqxAnswer(Struct):
    """A decision."""

    result: Annotated[str, Meta(description="`allow` or `deny`.")]
    is_superuser: bool = False


class VerneAnswer(Struct):
    """A decision."""

    result: Annotated[Any, Meta(description='`"ok"`, or an object with `error`.')]


class GoAuthAnswer(Struct, rename="pascal"):
    """A decision."""

    ok: bool
    error: str = ""


class _Resource:
    """What the resources share."""

    def __init__(self, authority: Authority, gate: Gate) -> None:
        self._authority = authority
        self._gate = gate

    async def _decide(self, req: falcon.asgi.Request, question: str) -> Any:
        """Return what :meth:`_ask` says; None, which is a denial, whatever goes wrong."""
        try:
            if self._gate.admits(req):
                return await self._ask(question, await _read(req), req)
        except WotkitError as error:
            _log.warning("a broker is told to deny: %s", error)
        except Exception:  # noqa: BLE001  # an answer of another status may let a client in
            _log.exception("a broker is told to deny")
        return None

    async def _ask(self, question: str, given: Given, req: falcon.asgi.Request) -> Any:
        raise NotImplementedError

    async def _login(
        self, given: Given, req: falcon.asgi.Request, *, address: str, client_id: str
    ) -> bool:
        """Decide about a login.

        Failures count under the client's address where the broker tells it, else under a name of
        the broker's own: so that nobody who works on the broker's machine is locked out for them.
        """
        return await self._authority.admits(
            _text(given, "username"),
            _text(given, "password"),
            _text(given, address) or f"broker {address_of(req)}",
            _text(given, client_id) or None,
        )


class RabbitMqResource(_Resource):
    """What RabbitMQ's plugin ``rabbitmq_auth_backend_http`` asks."""

    def __init__(self, authority: Authority, gate: Gate, vhost: str) -> None:
        super().__init__(authority, gate)
        self._vhost = vhost

    @operation(
        tag=TAG,
        summary="Answer RabbitMQ",
        description="`question` is `user`, `vhost`, `resource` or `topic`, as its plugin "
        "rabbitmq_auth_backend_http asks.",
        privacy="public",
        body=dict[str, str],
        example={"username": "0123456789abcdef", "password": "secret"},
        form_only=True,
        returns={200: Returns("`allow` or `deny`.", str, "text/plain")},
    )
    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, question: str
    ) -> None:
        """Answer a question."""
        resp.content_type = "text/plain; charset=utf-8"
        resp.data = b"allow" if await self._decide(req, question) else b"deny"

    async def _ask(self, question: str, given: Given, req: falcon.asgi.Request) -> bool:
        if question == "user":
            return await self._login(given, req, address="ip", client_id="client_id")
        name = _text(given, "username")
        if _text(given, "vhost") != self._vhost:
            return False
        if question == "vhost":
            return await self._authority.holds(name)
        if question == "resource":
            return self._is_of_client(name, given) and await self._authority.holds(name)
        if question == "topic" and _text(given, "name") == EXCHANGE:
            verb = {"write": Verb.PUBLISH, "read": Verb.SUBSCRIBE}.get(_text(given, "permission"))
            topic = topic_of(_text(given, "routing_key"))
            return verb is not None and await self._authority.allows(name, verb, topic)
        return False

    def _is_of_client(self, name: str, given: Given) -> bool:
        """Return whether a resource is the exchange of topics, or the queue of the very client.

        Who comes by AMQP has no client id, and so reads no queue.
        """
        resource = _text(given, "name")
        if _text(given, "resource") == "exchange":
            return resource == EXCHANGE and _text(given, "permission") != "configure"
        client_id = _text(given, "client_id")
        if _text(given, "resource") != "queue" or not client_id:
            return False
        own = {f"{QUEUE.format(client_id=client_id)}{qos}" for qos in (0, 1)}
        return resource in own and self._authority.owns_client(name, client_id)


class EmqxResource(_Resource):
    """What EMQX' HTTP authenticator and authorizer ask."""

    @operation(
        tag=TAG,
        summary="Answer EMQX",
        description="`question` is `authentication` or `authorization`; the body has `username`, "
        "`password`, `clientid` and `peerhost`, or `username`, `topic` and `action`.",
        privacy="public",
        body=dict[str, Any],
        example={"username": "0123456789abcdef", "password": "secret", "clientid": "gateway"},
        form=True,
        returns={200: Returns("The decision.", EmqxAnswer)},
    )
    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, question: str
    ) -> None:
        """Answer a question."""
        answer_json(resp, EmqxAnswer("allow" if await self._decide(req, question) else "deny"))

    async def _ask(self, question: str, given: Given, req: falcon.asgi.Request) -> bool:
        if question == "authentication":
            return await self._login(given, req, address="peerhost", client_id="clientid")
        verb = {"publish": Verb.PUBLISH, "subscribe": Verb.SUBSCRIBE}.get(_text(given, "action"))
        if question != "authorization" or verb is None:
            return False
        return await self._authority.allows(_text(given, "username"), verb, _text(given, "topic"))


class VerneMqResource(_Resource):
    """What VerneMQ's webhooks ask; each has the name of its hook."""

    @operation(
        tag=TAG,
        summary="Answer VerneMQ",
        description="`question` is the hook: `auth_on_register`, `auth_on_publish` or "
        "`auth_on_subscribe`, or the same with `_m5`.",
        privacy="public",
        body=dict[str, Any],
        example={"username": "0123456789abcdef", "password": "secret", "client_id": "gateway"},
        returns={200: Returns("The decision.", VerneAnswer)},
    )
    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, question: str
    ) -> None:
        """Answer a question."""
        answer = await self._decide(req, question)
        answer_json(resp, answer or {"result": {"error": "not_allowed"}})

    async def _ask(self, question: str, given: Given, req: falcon.asgi.Request) -> Given | None:
        hook = question.removesuffix("_m5")
        name = _text(given, "username")
        if hook == "auth_on_register":
            good = await self._login(given, req, address="peer_addr", client_id="client_id")
        elif hook == "auth_on_publish":
            good = await self._authority.allows(name, Verb.PUBLISH, _text(given, "topic"))
        elif hook == "auth_on_subscribe":
            return await self._subscribed(name, given.get("topics"), new=hook != question)
        else:
            good = False
        return {"result": "ok"} if good else None

    async def _subscribed(self, name: str, topics: Any, *, new: bool) -> Given | None:
        """Answer each topic of a subscription for itself; None when none is allowed."""
        if not isinstance(topics, list):
            return None
        answered: list[Given] = []
        allowed = 0
        for each in topics:
            good = isinstance(each, dict) and await self._authority.allows(
                name, Verb.SUBSCRIBE, _text(each, "topic")
            )
            allowed += good
            refused = _NOT_AUTHORIZED if new else _FAILURE
            answered.append(each if good else {"topic": _text(each, "topic"), "qos": refused})
        if not allowed:
            return None
        if allowed == len(answered):
            return {"result": "ok"}
        rewritten: Given = {"topics": answered}
        return {"result": "ok", **({"modifiers": rewritten} if new else rewritten)}


class GoAuthResource(_Resource):
    """What mosquitto asks through the plugin mosquitto-go-auth."""

    _VERBS: Final = {
        "1": (Verb.RECEIVE,),
        "2": (Verb.PUBLISH,),
        "3": (Verb.RECEIVE, Verb.PUBLISH),
        "4": (Verb.SUBSCRIBE,),
    }

    @operation(
        tag=TAG,
        summary="Answer mosquitto-go-auth",
        description="`question` is `user`, `superuser` or `acl`. Good for its response modes "
        "`status` and `json`: a denial has a status of its own, for in the former any 200 allows.",
        privacy="public",
        body=dict[str, Any],
        example={"username": "0123456789abcdef", "password": "secret", "clientid": "gateway"},
        form=True,
        returns={
            200: Returns("Allowed.", GoAuthAnswer),
            403: Returns("Denied.", GoAuthAnswer),
        },
    )
    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, question: str
    ) -> None:
        """Answer a question."""
        if await self._decide(req, question):
            answer_json(resp, GoAuthAnswer(ok=True))
        else:
            answer_json(resp, GoAuthAnswer(ok=False, error="not allowed"), 403)

    async def _ask(self, question: str, given: Given, req: falcon.asgi.Request) -> bool:
        if question == "user":
            return await self._login(given, req, address="ip", client_id="clientid")
        verbs = self._VERBS.get(str(given.get("acc")))
        if question != "acl" or verbs is None:
            return False
        name, topic = _text(given, "username"), _text(given, "topic")
        return all([await self._authority.allows(name, verb, topic) for verb in verbs])


async def _read(req: falcon.asgi.Request) -> Given:
    """Return the pairs of a form, or the attributes of a JSON object; none where it is neither."""
    body = await read_body(req, BODY_BYTES)
    if media_type(req) == FORM:
        return dict(parse_form(body))
    decoded = strict_json.decode(body)
    return decoded if isinstance(decoded, dict) else {}


def _text(given: Mapping[str, Any], name: str) -> str:
    """Return a text that was given; empty when it is missing or none."""
    value = given.get(name) if isinstance(given, dict) else None
    return value if isinstance(value, str) else ""
