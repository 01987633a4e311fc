"""Organizations and their members, for administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wotkit.catalog import orgs
from wotkit.catalog.orgs import NewOrg, OrgChange
from wotkit.errors import (
    AlreadyExists,
    CannotPerform,
    MalformedBody,
    NotFound,
    ValidationFailed,
)
from wotkit.web.pages.admin_home import PAGE_SIZE, asked, listing
from wotkit.web.pages.page import TAKEN, Page, identity_of, problems_of

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.catalog.audit import Actor
    from wotkit.errors import WotkitError
    from wotkit.web.pages.page import Form, Visitor

LIST: Final = "/admin/orgs"
ROLES: Final = [
    (orgs.MEMBER, "Member: reads and writes its sensors"),
    (orgs.ADMIN, "Administrator of it"),
]
_FIELDS: Final = {"longName": "long_name", "imageUrl": "image_url"}


class OrgsPage(Page):
    """``/admin/orgs``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """List organizations, newest first, with a search."""
        visitor, _ = await self.administrator(req)
        text, number = asked(req)
        found = await self.catalog.reading(orgs.page, text, PAGE_SIZE + 1, number * PAGE_SIZE)
        self.show(req, resp, "admin_orgs.html", visitor, **listing(req, text, number, found))


class NewOrgPage(Page):
    """``/admin/orgs/new``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show the form."""
        visitor, _ = await self.administrator(req)
        self.show(req, resp, "admin_org_new.html", visitor)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Make an organization, of which the administrator is the first member."""
        visitor, session = await self.administrator(req)
        form = await self.form(req, visitor)
        org = NewOrg(
            name=form["name"],
            long_name=form["long_name"],
            description=form["description"] or None,
            image_url=form["image_url"] or None,
        )
        try:
            await self.catalog.writing(lambda: orgs.found(identity_of(session), org, visitor.actor))
        except (ValidationFailed, AlreadyExists) as error:
            wrong = _wrong(error)
            if isinstance(error, AlreadyExists):
                wrong = {"name": TAKEN}
            self.show(
                req,
                resp,
                "admin_org_new.html",
                visitor,
                status=400,
                values=form.values(),
                wrong=wrong,
            )
            return
        self.lead(resp, f"{LIST}/{org.name}", f"{org.long_name} is made. You are its first member.")


class OrgPage(Page):
    """``/admin/orgs/{org}``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, org: str) -> None:
        """Show an organization and its members."""
        visitor, _ = await self.administrator(req)
        await self._show(req, resp, visitor, org)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, org: str) -> None:
        """Change an organization, or who is a member of it."""
        visitor, _ = await self.administrator(req)
        form = await self.form(req, visitor)
        try:
            said = await self.catalog.writing(_act, org, form, visitor.actor)
        except (ValidationFailed, CannotPerform) as error:
            await self._show(req, resp, visitor, org, form, error)
            return
        self.lead(resp, f"{LIST}/{org}", said)

    async def _show(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        visitor: Visitor,
        name: str,
        form: Form | None = None,
        error: WotkitError | None = None,
    ) -> None:
        def read() -> tuple[Any, Any]:
            return orgs.get(name), orgs.members(name)

        row, members = await self.catalog.reading(read)
        values = {field: getattr(row, field) or "" for field in ("long_name", "description")}
        values |= {"image_url": row.image_url or "", "member_role": orgs.MEMBER}
        self.show(
            req,
            resp,
            "admin_org.html",
            visitor,
            status=200 if error is None else 400,
            org=row,
            members=members,
            roles=ROLES,
            values=values if form is None else values | form.values(),
            wrong={} if error is None else _wrong(error),
        )


def _act(name: str, form: Form, actor: Actor) -> str:
    """Do what the form asks for and return what to say of it; a unit of work."""
    if form["action"] == "change":
        wanted = OrgChange(
            long_name=form["long_name"],
            description=form["description"] or None,
            image_url=form["image_url"] or None,
        )
        orgs.change(name, wanted, actor)
        return "Saved."
    username = form["username"].lower()
    if form["action"] == "add":
        try:
            orgs.add_member(orgs.get(name).name, username, actor, _role(form))
        except NotFound as error:
            if username not in error.developer:
                raise
            raise ValidationFailed(more={"username": f"there is no user {username}"}) from None
        return f"{username} is a member."
    if form["action"] == "role":
        orgs.set_role(name, username, _role(form), actor)
        return f"{username} has another role now."
    if form["action"] == "remove":
        orgs.remove_members(name, [username], actor)
        return f"{username} is no longer a member."
    raise MalformedBody("action is none of those offered")


def _role(form: Form) -> str:
    if form["member_role"] not in dict(ROLES):
        raise MalformedBody("member_role is none of those offered")
    return form["member_role"]


def _wrong(error: WotkitError) -> dict[str, str]:
    return {_FIELDS.get(name, name): text for name, text in problems_of(error).items()}
