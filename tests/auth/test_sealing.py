from __future__ import annotations

import base64

import pytest

from wotkit.auth.sealing import CannotOpen, open_sealed, seal


def test_what_was_sealed_is_opened_and_does_not_show() -> None:
    sealed = seal("signing secret", "key", about="app")
    assert "signing" not in base64.urlsafe_b64decode(sealed).decode("latin-1")
    assert open_sealed(sealed, "key", about="app") == "signing secret"
    assert seal("signing secret", "key", about="app") != sealed


@pytest.mark.parametrize(("key", "about"), [("other", "app"), ("key", "another app")])
def test_other_key_or_application_opens_nothing(key: str, about: str) -> None:
    sealed = seal("signing secret", "key", about="app")
    with pytest.raises(CannotOpen):
        open_sealed(sealed, key, about=about)


@pytest.mark.parametrize("sealed", ["", "x", "ä", "AAAA", "A" * 64])
def test_junk_opens_nothing(sealed: str) -> None:
    with pytest.raises(CannotOpen):
        open_sealed(sealed, "key", about="app")


def test_changed_text_opens_nothing() -> None:
    raw = bytearray(base64.urlsafe_b64decode(seal("signing secret", "key", about="app")))
    for position in range(len(raw)):
        raw[position] ^= 1
        with pytest.raises(CannotOpen):
            open_sealed(base64.urlsafe_b64encode(raw).decode(), "key", about="app")
        raw[position] ^= 1
