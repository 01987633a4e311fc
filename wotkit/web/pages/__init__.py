"""The pages that people use in a browser.

A page is a resource that extends :class:`wotkit.web.pages.page.Page`:

- ``visitor = await self.visitor(req)`` says who is signed in, if anybody;
  ``await self.signed_in(req)`` leads everybody else to the login page and back.
- ``self.show(req, resp, "name.html", visitor, …)`` answers a template that extends ``site.html``;
  the macros of ``macros.html`` (fields, tables, notices, confirmations) are its vocabulary.
- ``form = await self.form(req, visitor)`` reads a posted form and checks its token, which
  ``{{ csrf }}`` puts into every form.
- ``self.lead(resp, "/path", notice="Saved.")`` answers a form that worked: 303 to a page, which
  shows the notice once. A form that did not work is shown again, with its values and what is wrong
  with each.

Every page works without script; ``static/site.js`` only adds conveniences. Resources and their
paths are listed in :mod:`wotkit.web.site`.
"""
