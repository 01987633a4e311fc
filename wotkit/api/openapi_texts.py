"""What the API's description says in words, beside what its types say."""

from __future__ import annotations

from typing import Final

TAGS: Final = {
    "Sensors": "A sensor is a named source of readings, with a place, tags, metadata and declared "
    "fields. It is public or private.",
    "Fields": "What a sensor's readings hold: each field has a name, a type and units.",
    "Readings": "A reading is a timestamp and named values. Whatever way it comes in, it is "
    "checked, stored and synchronized to disk before it is acknowledged.",
    "Actuators": "A sensor may stand for something that acts, too. Messages are sent to it over "
    "its control channel; the program that acts subscribes and waits for them.",
    "Alerts": "An alert tells its owner when conditions on sensors become true, or a gateway goes "
    "offline: in the inbox, by e-mail and by a signed webhook.",
    "Gateways": "The boxes in the field that read sensors and deliver readings. They report "
    "themselves: whether they are there, what waits in them, and what fails.",
    "Subscriptions": "The sensors that a user follows. Making a sensor private ends them.",
    "Groups": "A group is a named set of sensors. It is public or private, as a sensor is; of its "
    "sensors everybody sees what is visible to it.",
    "Tags": "The tags of sensors, and how many have each.",
    "Organizations": "An organization may own sensors and groups; its members read and write them. "
    "Administrators manage organizations.",
    "Users": "Accounts, managed by administrators. They are disabled, never deleted.",
    "News and stats": "What goes on in public, for everybody.",
    "Keys": "A key lets a gateway or a script act for a user, within scopes, without the user's "
    "password. Keys are managed with a user name and password, never with a key.",
    "Applications": "An application of a third party acts for users who allow it. Its owner "
    "registers it; users see and revoke what they allowed.",
    "Audit": "Who did what, when, from where, and with which key or application; failed logins "
    "too. Rows are only added, and kept for the days of the setting `auth.audit_days`.",
    "OAuth2": "How applications of others get access tokens, without ever seeing a password. The "
    "addresses take forms and answer JSON; their errors have the shape of the standard (RFC 6749 "
    "section 5.2).",
    "Older handshake": "For desktop programs that know neither callback addresses nor OAuth2: they "
    "get a frob, send their user to `/apps/authorize`, and exchange the frob for a token. Every "
    "call is signed. New programs use OAuth2.",
    "Brokers": "What a broker of MQTT asks that stands before the platform: who may connect, and "
    "which topics a client may use. Only from the addresses of `mqtt.authorizer_addresses`, or "
    "with the secret; everybody else is told to deny.",
    "Operations": "For watchdogs, load balancers and Prometheus, and this description of the API.",
}
"""Groups of operations, in the order of the reference."""

PATH_PARAMETERS: Final = {
    "sensor": (
        "A sensor: its numeric id, `owner.name`, or the name alone when it is your own.",
        "alice.greenhouse",
    ),
    "field": ("The name of a field.", "temperature"),
    "group": (
        "A group: its numeric id, `owner.name`, or the name alone when it is your own.",
        "alice.glasshouses",
    ),
    "org": ("An organization: its name or numeric id.", "greenfingers"),
    "user": ("A user: its name or numeric id; a member: its name.", "alice"),
    "timestamp": (
        "A time: ISO 8601 or milliseconds since 1970.",
        "2026-06-19T22:45:36.281Z",
    ),
    "reading": ("The id of a reading.", "4711"),
    "message": ("The id of a message.", "17"),
    "subscription": (
        "The number of a subscription; to make one, the sensor as in other paths.",
        "alice.greenhouse",
    ),
    "alert": ("The id of an alert.", "17"),
    "key": ("A key id: 16 hex digits.", "0123456789abcdef"),
    "app": ("A client id: 32 hex digits.", "0123456789abcdef0123456789abcdef"),
    "grant": ("The id of a grant.", "17"),
    "gateway": (
        "A gateway: its name; for administrators `owner.name` too.",
        "greenhouse-1",
    ),
    "question": ("What is asked, in the product's own words.", "user"),
    "asset": ("The name of a file of the reference page.", "reference.css"),
    "page": ("The name of a page of the documentation.", "quickstart"),
}
"""What each parameter of a path means, and an example."""

DESCRIPTION: Final = """\
Version 1 answers under `/api/v1` and, for clients that name no version, the same under `/api`. \
Version 2 answers under `/api/v2`, and nearly all of version 1 does there too. A trailing slash is \
accepted on every path.

Times in answers are ISO 8601 in UTC; in requests ISO 8601 with any offset, or milliseconds since \
1970. Bodies may be gzip or zstd encoded. Every error has the shape of `Error` and a stable code. \
Unknown attributes of a body are ignored.
"""

SECURITY: Final = {
    "key": {
        "type": "http",
        "scheme": "basic",
        "description": "A key id and key password: what gateways and scripts use. Its scopes and "
        "its list of sensors limit what it may do.",
    },
    "user": {
        "type": "http",
        "scheme": "basic",
        "description": "A user's name and password.",
    },
}
