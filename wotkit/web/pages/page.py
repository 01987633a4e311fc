"""What all pages share: who is looking, forms and their tokens, templates, headers, notices."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from wotkit import times
from wotkit.api.caller import address_of
from wotkit.auth import passwords
from wotkit.catalog import sessions
from wotkit.catalog.audit import Actor
from wotkit.catalog.sessions import COOKIE as SESSION
from wotkit.catalog.sessions import Lifetimes
from wotkit.edge import CUT_OFF
from wotkit.errors import CannotPerform, MalformedBody, TooLarge, WotkitError

if TYPE_CHECKING:
    import falcon.asgi
    import jinja2

    from wotkit.auth.authenticator import Authenticator
    from wotkit.catalog import Catalog
    from wotkit.catalog.identity import Identity
    from wotkit.catalog.sessions import SessionRow
    from wotkit.settings import Settings
    from wotkit.web.pages.signing import Signer

VISIT: Final = "wotkit_visit"
NOTICE: Final = "wotkit_notice"

FORM_BYTES: Final = 65_536
"""Bytes a posted form may have."""
FORM_FIELDS: Final = 500
_TOKEN_LENGTH: Final = 100
TAKEN: Final = "A user or an organization has this name already."


class GoElsewhere(Exception):
    """Ends a request with a redirect to a path of this server."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(path)


class Site(Struct, frozen=True):
    """What pages need of the server."""

    settings: Settings
    catalog: Catalog
    authenticator: Authenticator
    secret_key: str
    signer: Signer
    templates: jinja2.Environment


class Visitor(Struct, frozen=True, kw_only=True):
    """Who is looking at a page: somebody who is signed in, or anybody."""

    session: SessionRow | None
    secret: str
    """What the forms' tokens are derived from: the secret of the session or else of the visit."""
    address: str

    @property
    def username(self) -> str:
        """The name of the user, empty for anybody."""
        return "" if self.session is None else self.session.username

    @property
    def actor(self) -> Actor:
        """The visitor as the audit log records it."""
        return Actor(self.username or "anonymous", self.address)


class Form:
    """The fields of a posted form; a missing one is empty, and text is stripped."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return self.raw(name).strip()

    def raw(self, name: str) -> str:
        """Return a field as it was typed: a password may begin or end with a space."""
        return self._values.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        """Return every value of a field that may stand several times."""
        return [value.strip() for value in self._values.get(name, [])]

    def ticked(self, name: str) -> bool:
        """Return whether a box was ticked."""
        return name in self._values

    def values(self) -> dict[str, str]:
        """Return what was typed, to show the form again; passwords are typed again."""
        return {name: given[0] for name, given in self._values.items() if "password" not in name}


def local_path(text: str) -> str:
    """Return a path of this server to go on to, or else the home page.

    What a browser would take for another server's address is none: two slashes, a backslash for a
    slash, and whatever hides behind control characters.
    """
    plain = text.isprintable() and "\\" not in text and text.isascii()
    return text if plain and text.startswith("/") and not text.startswith("//") else "/"


identity_of = sessions.identity_of


class Page:
    """A page or several; see the package for how it is used."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.catalog = site.catalog
        web = site.settings.web
        self.lifetimes = Lifetimes(idle=web.idle_seconds, absolute=web.absolute_seconds)

    async def visitor(self, req: falcon.asgi.Request) -> Visitor:
        """Return who is looking."""
        address = address_of(req)
        secret = _cookie(req, SESSION)
        if secret:
            secret_hash = passwords.hash_secret(secret)
            session = await self.catalog.reading(sessions.find, secret_hash, self.lifetimes)
            if session is not None:
                if times.now() - session.used > sessions.TOUCH_SECONDS * times.MICROSECONDS:
                    await self.catalog.writing(sessions.touch, secret_hash, address)
                return Visitor(session=session, secret=secret, address=address)
        return self.nobody(req)

    @staticmethod
    def nobody(req: falcon.asgi.Request) -> Visitor:
        """Return anybody who looks at a page without being signed in."""
        visit = _cookie(req, VISIT) or passwords.make_secret()
        return Visitor(session=None, secret=visit, address=address_of(req))

    async def signed_in(self, req: falcon.asgi.Request) -> tuple[Visitor, SessionRow]:
        """Return who is looking, after leading everybody else to the login page and back.

        Raises:
            GoElsewhere: nobody is signed in.
        """
        visitor = await self.visitor(req)
        if visitor.session is None:
            back = req.relative_uri if req.method in {"GET", "HEAD"} else req.path
            raise GoElsewhere(f"/login?{urllib.parse.urlencode({'next': back})}")
        return visitor, visitor.session

    async def administrator(self, req: falcon.asgi.Request) -> tuple[Visitor, SessionRow]:
        """Like :meth:`signed_in`, for administrators only.

        Raises:
            GoElsewhere: nobody is signed in.
            CannotPerform: somebody else is.
        """
        visitor, session = await self.signed_in(req)
        if not session.admin:
            raise CannotPerform("this page is for administrators")
        return visitor, session

    async def form(self, req: falcon.asgi.Request, visitor: Visitor) -> Form:
        """Read a posted form whose token shows that it comes from one of our pages.

        Raises:
            TooLarge: it is larger than any form of ours.
            MalformedBody: it is no form.
            CannotPerform: its token is missing or of another session, or the session or its user's
                role ended while the form was on its way, which may be as slow as its sender likes.
        """
        form = await read_form(req)
        await self.check(form, visitor)
        return form

    async def check(self, form: Form, visitor: Visitor) -> None:
        """Check a form that was read, as :meth:`form` does.

        Raises:
            CannotPerform: it is not of one of our pages, shown to this visitor.
        """
        if visitor.session is not None:
            now = await self.catalog.reading(self.present, visitor.session)
            if visitor.session.admin and not now.admin:
                raise CannotPerform("you are no administrator any more; reload the page")
        if not self.site.signer.matches("form", visitor.secret, form["csrf"][:_TOKEN_LENGTH]):
            raise CannotPerform(
                "the form is not of your present session; go back, reload the page and send it "
                "again. Cookies must be allowed."
            )

    def present(self, session: SessionRow) -> Identity:
        """Return who is signed in, as it is now; part of a unit of work.

        Raises:
            CannotPerform: the session has ended since the request began.
        """
        found = sessions.find(session.hash, self.lifetimes)
        if found is None:
            raise CannotPerform("your session has ended; log in and try again")
        return identity_of(found)

    def show(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        template: str,
        visitor: Visitor,
        *,
        status: int = 200,
        form_targets: tuple[str, ...] = (),
        **values: Any,
    ) -> None:
        """Answer a page.

        Args:
            req: the request.
            resp: its answer.
            template: file in ``templates``.
            visitor: who is looking.
            status: of the answer.
            form_targets: sources, beyond this server, to which a form of this page may lead
                (Content-Security-Policy ``form-action``, which browsers apply to redirects too).
            values: what the template shows.
        """
        notice = self._notice(req, resp)
        if visitor.session is None:
            self._set_cookie(req, resp, VISIT, visitor.secret)
        resp.status = status
        resp.content_type = "text/html; charset=utf-8"
        resp.set_header("Cache-Control", "no-store")
        resp.set_header("Content-Security-Policy", policy(form_targets))
        resp.text = self.site.templates.get_template(template).render(
            {
                "visitor": visitor,
                "session": visitor.session,
                "zone": "UTC" if visitor.session is None else visitor.session.time_zone,
                "csrf": self.site.signer.token("form", visitor.secret),
                "notice": notice,
                "path": req.path,
                "address": self.address(req),
                "registration": self.site.settings.web.registration,
                "values": {},
                "wrong": {},
                **values,
            }
        )

    def address(self, req: falcon.asgi.Request) -> str:
        """Return the server's address as people reach it, without a slash at its end."""
        return (self.site.settings.server.public_url or req.prefix).rstrip("/")

    def lead(self, resp: falcon.asgi.Response, path: str, notice: str = "") -> None:
        """Answer a form that worked: go on to ``path``, which shows the notice once."""
        resp.status = 303
        resp.set_header("Location", path)
        resp.set_header("Cache-Control", "no-store")
        if notice:
            sealed = self.site.signer.seal("notice", notice)
            resp.set_cookie(
                NOTICE, sealed, path="/", max_age=60, http_only=True, secure=False, same_site="Lax"
            )

    async def sign_in(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        user_id: int,
        *,
        since: int | None = None,
    ) -> None:
        """Begin a session, with an id that nobody knew before, and end the one there was.

        ``since`` is when (microseconds) the password began to be verified, if one was.
        """
        before = await self.visitor(req)
        if before.session is not None:
            await self.catalog.writing(sessions.close, before.session.user_id, before.session.hash)
        secret = passwords.make_secret()
        await self.catalog.writing(
            sessions.open_session,
            user_id,
            passwords.hash_secret(secret),
            address_of(req),
            req.get_header("user-agent") or "",
            since=since,
        )
        self._set_cookie(req, resp, SESSION, secret)
        resp.unset_cookie(VISIT, path="/")

    def sign_out(self, resp: falcon.asgi.Response) -> None:
        """Have the browser forget its session."""
        resp.unset_cookie(SESSION, path="/")

    def _set_cookie(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str, secret: str
    ) -> None:
        secure = self.address(req).startswith("https:")
        resp.set_cookie(name, secret, path="/", http_only=True, secure=secure, same_site="Lax")

    def _notice(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> str:
        sealed = _cookie(req, NOTICE)
        if not sealed:
            return ""
        resp.unset_cookie(NOTICE, path="/")
        return self.site.signer.opened("notice", sealed) or ""


def policy(form_targets: tuple[str, ...] = ()) -> str:
    """Return the Content-Security-Policy (https://www.w3.org/TR/CSP3/) of a page."""
    targets = " ".join(("'self'", *form_targets))
    return (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data: https:; "
        f"form-action {targets}; frame-ancestors 'none'; base-uri 'none'"
    )


async def read_form(req: falcon.asgi.Request) -> Form:
    """Read a form (application/x-www-form-urlencoded) of at most :data:`FORM_BYTES`.

    Raises:
        TooLarge: it is larger.
        MalformedBody: it is none, or only a part of one, or has too many fields.
    """
    kind = (req.content_type or "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise MalformedBody("a form of this site's pages is expected")
    body = await req.stream.read(FORM_BYTES + 1)
    if len(body) > FORM_BYTES:
        raise TooLarge(f"a form has at most {FORM_BYTES} bytes")
    if CUT_OFF in req.scope or len(body) < (req.content_length or 0):
        # what is left of it would say something else than what was typed
        raise MalformedBody("the form was cut off; please send it again")
    try:
        pairs = urllib.parse.parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, max_num_fields=FORM_FIELDS
        )
    except ValueError:
        raise MalformedBody("the form is not UTF-8 or has too many fields") from None
    return Form(pairs)


def problems_of(error: WotkitError) -> dict[str, str]:
    """Return what is wrong with each field, as sentences below the fields."""
    general = {"": "; ".join(error.developer) or error.code.message}
    return {name: _sentence(wrong) for name, wrong in (error.more or general).items()}


def _sentence(wrong: str) -> str:
    """Return what stands after a name in the API's errors as a sentence of its own."""
    text = wrong.removeprefix("is invalid: ")
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


def _cookie(req: falcon.asgi.Request, name: str) -> str:
    values = req.get_cookie_values(name)
    return values[0] if values else ""
