"""Messages that alerts send: claimed by one, tried again or given up, and logged."""

from __future__ import annotations

import asyncio
import email as email_library
from contextlib import contextmanager
from email import policy
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiosmtpd.controller import Controller

from tests.ports import free_port
from wotkit import times
from wotkit.alerts.deliver import Courier
from wotkit.alerts.transports import DeliveryFailed
from wotkit.alerts.transports.email import EmailTransport
from wotkit.catalog import Catalog, alert_rules, alerts, deliveries, sensors
from wotkit.catalog.alert_conditions import Condition
from wotkit.catalog.alert_rules import Change, Firing
from wotkit.catalog.alerts import AlertChange
from wotkit.catalog.audit import Actor
from wotkit.catalog.models import AlertDelivery, InboxMessage, changed, rows
from wotkit.settings import AlertSettings, MailSettings, Settings
from wotkit.upkeep import leases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiosmtpd.smtp import SMTP, Envelope, Session

    from tests.conftest import MakeUser
    from wotkit.catalog.deliveries import Outgoing

QUICK = AlertSettings(attempts=3, retry_seconds=0.01)
LIMITS = AlertSettings()


class Mailbox:
    """Takes mail, or refuses it with a reply."""

    def __init__(self, reply: str = "250 OK") -> None:
        self.reply = reply
        self.mails: list[Envelope] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  # the library's name
        self.mails.append(envelope)
        return self.reply


@contextmanager
def smtp_server(mailbox: Mailbox) -> Iterator[MailSettings]:
    """A real SMTP server on the loopback."""
    port = free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield MailSettings(host="127.0.0.1", port=port, tls="none", sender="wotkit@example.org")
    finally:
        controller.stop()


def outgoing(**other: Any) -> Outgoing:
    plain = deliveries.Outgoing(
        id=17,
        alert_id=7,
        inbox_id=3,
        channel="email",
        target="alice@example.org",
        title="Zu warm: 30 °C",
        body="It has 30 °C.\n.\nOpen the windows.",
        attempts=1,
        secret="x" * 16,
    )
    return msgspec.structs.replace(plain, **other)


def mail(settings: MailSettings, message: Outgoing) -> str:
    return asyncio.run(EmailTransport(settings).send(message))


def test_email_arrives_as_it_was_written() -> None:
    mailbox = Mailbox()
    with smtp_server(mailbox) as settings:
        assert mail(settings, outgoing()) == "accepted by the mail server"
    (found,) = mailbox.mails
    assert found.rcpt_tos == ["alice@example.org"]
    assert found.mail_from == "wotkit@example.org"
    parsed = email_library.message_from_bytes(found.content, policy=policy.default)
    assert parsed["subject"] == "Zu warm: 30 °C"
    assert parsed["message-id"] == "<alert-7-17@example.org>"
    assert parsed.get_content().replace("\r\n", "\n").strip() == outgoing().body


@pytest.mark.parametrize(
    ("reply", "permanent"), [("550 no such user", True), ("552 full", True), ("451 later", False)]
)
def test_mail_server_says_whether_to_try_again(reply: str, permanent: bool) -> None:
    with smtp_server(Mailbox(reply)) as settings, pytest.raises(DeliveryFailed) as caught:
        mail(settings, outgoing())
    assert (caught.value.reason, caught.value.permanent) == (reply, permanent)


def test_mail_server_that_is_not_there_is_tried_again() -> None:
    with smtp_server(Mailbox()) as settings:
        pass
    with pytest.raises(DeliveryFailed) as caught:
        mail(settings, outgoing())
    assert not caught.value.permanent


def test_mail_server_that_cannot_encrypt_gets_nothing() -> None:
    mailbox = Mailbox()
    with smtp_server(mailbox) as plain, pytest.raises(DeliveryFailed) as caught:
        mail(msgspec.structs.replace(plain, tls="starttls"), outgoing())
    assert not caught.value.permanent
    assert mailbox.mails == []


def test_without_a_mail_server_no_email_is_sent() -> None:
    with pytest.raises(DeliveryFailed, match=r"mail\.host") as caught:
        mail(MailSettings(), outgoing())
    assert caught.value.permanent


def test_address_cannot_add_a_header() -> None:
    mailbox = Mailbox()
    with smtp_server(mailbox) as settings, pytest.raises(DeliveryFailed) as caught:
        mail(settings, outgoing(target="a@b.ie\nBcc: c@d.ie"))
    assert caught.value.permanent
    assert mailbox.mails == []


class Stub:
    """A transport whose sends end as told, the last way from then on."""

    def __init__(self, *ends: str | DeliveryFailed) -> None:
        self._ends = list(ends)
        self.sent: list[Outgoing] = []

    async def send(self, message: Outgoing) -> str:
        self.sent.append(message)
        end = self._ends[0] if len(self._ends) == 1 else self._ends.pop(0)
        if isinstance(end, DeliveryFailed):
            raise end
        return end


@pytest.fixture
def fired(catalog: Catalog, make_user: MakeUser) -> int:
    """An alert of Alice's that fired once, with a webhook and an e-mail to be sent."""
    alice = make_user("alice")
    rule_id = catalog.write(_add_alert, alice)
    assert fire(catalog, rule_id) == 1
    return rule_id


def _add_alert(alice: Any) -> int:
    here = Actor("tests", "127.0.0.1")
    new = sensors.NewSensor(name="cellar", long_name="Cellar", description="d")
    sensor = sensors.create(alice, new, here)
    wanted = AlertChange(
        name="too warm",
        send_email=True,
        email="alice@example.org",
        webhook="http://example.org/",
        conditions=[Condition(sensor=str(sensor.id), field="value", operator="GT", value=1)],
    )
    row, _ = alerts.create(alice, wanted, here, AlertSettings())
    return row.id


def fire(catalog: Catalog, alert_id: int, times_: int = 1, limits: AlertSettings = LIMITS) -> int:
    """Record that an alert began to be in progress, and return how often that was news."""
    row = catalog.read(alert_rules.get, alert_id)
    assert row is not None
    firing = Firing(title="t", message="m", at=times.now(), webhook_body="{}")
    change = Change(row=row, steps=[(firing, times.now())] * times_)
    return catalog.write(alert_rules.record, [change], limits)


def courier(catalog: Catalog, email: Stub, webhook: Stub) -> Courier:
    settings = Settings(alerts=QUICK)
    return Courier(catalog, {"email": email, "webhook": webhook}, settings)


def log(catalog: Catalog, alert_id: int) -> dict[str, tuple[str, int, str]]:
    found = catalog.read(deliveries.for_alert, alert_id, 10)
    return {one.channel: (one.status, one.attempts, one.outcome) for one in found}


def send_all(catalog: Catalog, email: Stub, webhook: Stub) -> None:
    async def run() -> None:
        sender = courier(catalog, email, webhook)
        for _ in range(20):
            await sender.send_due()
            await asyncio.sleep(0.01)

    asyncio.run(run())


def test_of_two_that_saw_the_same_one_fires(catalog: Catalog, fired: int, data: Any) -> None:
    other = Catalog(data)
    assert fire(other, fired) == 0
    assert fire(catalog, fired, times_=2) == 0
    other.close()
    assert len(catalog.read(deliveries.for_alert, fired, 10)) == 2


def test_message_is_sent_once_and_noted(catalog: Catalog, fired: int) -> None:
    email, webhook = Stub("accepted"), Stub("answered 200")
    send_all(catalog, email, webhook)
    assert (len(email.sent), len(webhook.sent)) == (1, 1)
    assert log(catalog, fired) == {
        "email": ("sent", 1, "accepted"),
        "webhook": ("sent", 1, "answered 200"),
    }
    assert catalog.read(lambda: rows(InboxMessage.select(InboxMessage.sent))) == [(True,)]


def test_temporary_failure_is_tried_again_and_a_permanent_one_is_not(
    catalog: Catalog, fired: int
) -> None:
    email = Stub(DeliveryFailed("451", permanent=False), "accepted")
    webhook = Stub(DeliveryFailed("answered 404", permanent=True))
    send_all(catalog, email, webhook)
    assert log(catalog, fired) == {
        "email": ("sent", 2, "accepted"),
        "webhook": ("failed", 1, "answered 404"),
    }


def test_message_is_given_up_after_so_many_attempts(catalog: Catalog, fired: int) -> None:
    never = Stub(DeliveryFailed("later", permanent=False))
    send_all(catalog, never, never)
    failed = ("failed", QUICK.attempts, "later")
    assert log(catalog, fired) == {"email": failed, "webhook": failed}
    assert catalog.read(lambda: rows(InboxMessage.select(InboxMessage.sent))) == [(False,)]


def test_message_of_one_who_was_killed_is_sent_by_another_later(
    catalog: Catalog, fired: int
) -> None:
    assert len(catalog.write(deliveries.claim, 10, 60.0)) == 2
    assert catalog.write(deliveries.claim, 10, 60.0) == []  # nobody else has it meanwhile
    catalog.write(lambda: changed(AlertDelivery.update(due=times.now())))
    again = catalog.write(deliveries.claim, 10, 60.0)
    assert [one.attempts for one in again] == [2, 2]


def test_one_who_was_overtaken_notes_nothing(catalog: Catalog, fired: int) -> None:
    (slow, _) = catalog.write(deliveries.claim, 10, 0.0)
    catalog.write(deliveries.claim, 10, 60.0)
    catalog.write(deliveries.failed, slow, "too late", None)
    assert {status for status, *_ in log(catalog, fired).values()} == {"waiting"}


def test_inbox_keeps_the_newest_messages(catalog: Catalog, fired: int) -> None:
    def end() -> None:
        row = alert_rules.get(fired)
        assert row is not None
        alert_rules.record([Change(row=row, steps=[(None, 1)])], two)

    two = AlertSettings(inbox_messages=2)
    for _ in range(4):
        catalog.write(end)
        assert fire(catalog, fired, limits=two) == 1
    found = catalog.read(lambda: rows(InboxMessage.select(InboxMessage.id)))
    assert sorted(found) == [(4,), (5,)]


def end(catalog: Catalog, alert_id: int) -> None:
    row = catalog.read(alert_rules.get, alert_id)
    assert row is not None
    catalog.write(alert_rules.record, [Change(row=row, steps=[(None, 1)])], AlertSettings())


def test_alert_that_fires_all_the_time_keeps_little(catalog: Catalog, fired: int) -> None:
    limits = AlertSettings(waiting_deliveries=6, kept_deliveries=10)
    for _ in range(20):
        end(catalog, fired)
        assert fire(catalog, fired, limits=limits) == 1
    found = catalog.read(deliveries.for_alert, fired, 100)
    assert [one.status for one in found[-6:]] == ["waiting"] * 6  # the oldest go on their way
    assert {(one.status, one.outcome) for one in found[:-6]} == {("failed", deliveries.TOO_MANY)}
    assert len(found) <= 10 + 6
    email, webhook = Stub("accepted"), Stub("answered 200")
    send_all(catalog, email, webhook)
    assert len(email.sent) + len(webhook.sent) == 6
    end(catalog, fired)
    assert fire(catalog, fired) == 1
    assert [one.status for one in catalog.read(deliveries.for_alert, fired, 2)] == ["waiting"] * 2


def test_alert_of_one_user_that_fires_all_the_time_makes_nobody_elses_late(
    catalog: Catalog, fired: int, make_user: MakeUser
) -> None:
    for _ in range(20):
        end(catalog, fired)
        assert fire(catalog, fired) == 1
    bobs = catalog.write(_add_alert, make_user("bobby"))
    assert fire(catalog, bobs) == 1
    claimed = catalog.write(deliveries.claim, 8, 60.0)
    assert [one.alert_id for one in claimed].count(bobs) == 2
    assert len(claimed) == 8


def test_lease_is_held_by_one_until_it_ends_or_is_given_back(catalog: Catalog) -> None:
    assert catalog.write(leases.claim, "x", "first", 60.0)
    assert not catalog.write(leases.claim, "x", "second", 60.0)
    assert catalog.write(leases.claim, "x", "first", -1.0)  # over at once
    assert catalog.write(leases.claim, "x", "second", 60.0)
    catalog.write(leases.release, "x", "first")
    assert not catalog.write(leases.claim, "x", "first", 60.0)
    catalog.write(leases.release, "x", "second")
    assert catalog.write(leases.claim, "x", "first", 60.0)
