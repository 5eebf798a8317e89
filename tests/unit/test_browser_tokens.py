"""Browser tokens without a server: what is minted, and what is believed."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow import mint_token
from agentflow.auth.keys import ApiKey, ApiKeys
from agentflow.auth.scopes import Scopes
from agentflow.auth.tokens import Grant, read_token
from agentflow.clock import Duration
from agentflow.errors import ConfigurationError, DefinitionError, InvalidScope, TokenExpired, TokenInvalid
from agentflow.testing import ManualClock

KEY = "the key of this server"
OTHER = "the key of some other server"
KEYS = ApiKeys.read(KEY)
CLOCK = ManualClock()
NOW = CLOCK.now()
SCOPES = [
    "run:read:run_01",
    "run:read:tag:vip",
    "run:read:thread:t-7",
    "task:start:greet",
    "waitpoint:answer:wp_01",
    "waitpoint:answer:run:run_02",
    "thoughts",
    "index:read",
]


def minted(*scopes: str, key: str = KEY, expires: Duration = "15m", subject: str | None = None) -> str:
    return mint_token(key, scopes=scopes or SCOPES, expires=expires, subject=subject, clock=CLOCK)


def granted(token: str, now: int = NOW) -> Grant:
    return read_token(KEYS, token, now)[1]


def signed(claims: dict[str, Any], key: ApiKey | None = None, **header: Any) -> str:
    """A token that somebody made who has the key."""
    made = key or ApiKey.of(KEY)
    whole = {"jti": "x", "exp": NOW // 1_000_000 + 60, "scp": ["thoughts"], **claims}
    return jwt.encode({name: value for name, value in whole.items() if value is not None}, made.signing, headers={"kid": made.id, **header})


def piece(value: Any) -> str:
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_grants_what_its_scopes_say_and_nothing_else() -> None:
    grant = granted(minted(subject="user:maria"))
    scopes = grant.scopes
    assert (scopes.runs, scopes.tags, scopes.tasks) == ({"run_01"}, {"vip", "thread:t-7"}, {"greet"})
    assert (scopes.waitpoints, scopes.waiting, scopes.index, scopes.thoughts) == ({"wp_01"}, {"run_02"}, True, True)
    assert (grant.subject, grant.who) == ("user:maria", "user:maria")
    least = granted(minted("run:read:run_01"))
    assert least.scopes == Scopes(texts=("run:read:run_01",), runs=frozenset({"run_01"}))
    assert least.who == f"token:{least.id}"


@pytest.mark.parametrize(("expires", "seconds"), [("15m", 900), (1, 1), ("24h", 86_400)])
def test_a_token_is_good_to_the_second_that_it_names(expires: Duration, seconds: int) -> None:
    token = minted(expires=expires)
    assert granted(token, NOW + seconds * 1_000_000 - 1).expires_at == NOW + seconds * 1_000_000
    with pytest.raises(TokenExpired) as caught:
        granted(token, NOW + seconds * 1_000_000)
    assert caught.value.details["expired_at"] == (NOW + seconds * 1_000_000) // 1_000


def test_no_two_tokens_have_one_id() -> None:
    assert len({granted(minted()).id for _ in range(20)}) == 20


@pytest.mark.parametrize(
    "scope",
    [
        *("", " ", "run", "run:read", "run:read:", "run:read:tag", "run:read:tag:", "run:read:thread:", "run:read:*", "run:read:tag:*"),
        *(
            "run:read:wp_01",
            "run:read:run_01 ",
            "run:read:run_01\n",
            "run:write:wp_01",
            "run:write:thread:",
            "run:write:tag:a",
            "task:start:",
            "task:start:*",
            "task:start: x",
        ),
        *("waitpoint:answer:", "waitpoint:answer:run_01", "waitpoint:answer:run:", "waitpoint:answer:run:wp_01", "thoughts:", "index"),
        *("run:read:tag:a\x00b", f"run:read:tag:{'x' * 257}", "THOUGHTS", "*", 7, None),
    ],
)
def test_a_scope_that_is_none_is_refused_when_the_token_is_minted(scope: Any) -> None:
    with pytest.raises(InvalidScope, match=r"is no scope.*run:read:<id>"):
        minted("thoughts", scope)


def test_a_token_needs_scopes_as_a_list_and_not_too_many_of_them() -> None:
    for wrong in (list[str](), "thoughts"):
        with pytest.raises(InvalidScope, match="a list of scopes"):
            mint_token(KEY, scopes=wrong)
    with pytest.raises(InvalidScope, match="at most 100"):
        minted(*(f"run:read:run_{number}" for number in range(101)))


@pytest.mark.parametrize("expires", [0, -1, "0s", "24h1s", "2d", 1e12])
def test_a_token_lives_for_a_day_at_most(expires: Duration) -> None:
    with pytest.raises(DefinitionError):
        minted(expires=expires)


@pytest.mark.parametrize("subject", ["", "  ", "x" * 257])
def test_a_subject_says_who(subject: str) -> None:
    with pytest.raises(DefinitionError, match="subject"):
        minted(subject=subject)


@pytest.mark.parametrize("key", ["", ",", "fifteen letters", "short,the other one is long enough"])
def test_a_key_that_can_be_guessed_signs_nothing(key: str) -> None:
    with pytest.raises(ConfigurationError, match="API key"):
        minted(key=key)


def test_of_several_keys_the_first_signs_and_any_of_them_is_believed() -> None:
    token = minted(key=f" {OTHER} , {KEY} ")
    for keys in (f"{KEY},{OTHER}", [OTHER, KEY], [f"{KEY},{OTHER}"]):
        assert read_token(ApiKeys.read(keys), token, NOW)[0].id == ApiKey.of(OTHER).id
    with pytest.raises(TokenInvalid):
        granted(token)


def test_neither_a_key_nor_a_token_shows_the_key() -> None:
    key = ApiKey.of(KEY)
    assert KEY not in repr(key)
    assert str(key.signing) not in repr(key)
    header = jwt.get_unverified_header(minted())
    assert header == {"alg": "HS256", "typ": "JWT", "kid": key.id}
    assert key.signing not in (KEY.encode(), key.digest)
    assert not {key.id, key.id[:8]} & {key.digest.hex()[: len(key.id)], key.signing.hex()[: len(key.id)]}


def test_a_key_is_found_among_several_and_nothing_else_is() -> None:
    keys = ApiKeys.read([KEY, OTHER])
    assert [keys.find(text.encode()) == ApiKey.of(text) for text in (KEY, OTHER)] == [True, True]
    assert [keys.find(wrong) for wrong in (b"", KEY[:-1].encode(), f"{KEY},{OTHER}".encode(), ApiKey.of(KEY).digest)] == [None] * 4


def forgeries() -> dict[str, str]:
    good = minted()
    head, body, signature = good.split(".")
    key = ApiKey.of(KEY)
    none = {"alg": "none", "typ": "JWT", "kid": key.id}
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    wider = piece({**claims, "scp": ["index:read"]})
    return {
        "another signature": f"{head}.{body}.{signature[:-4]}AAAA",
        "no signature": f"{head}.{body}.",
        "other claims": f"{head}.{wider}.{signature}",
        "alg none": f"{piece(none)}.{body}.",
        "alg none, signed": f"{piece(none)}.{body}.{signature}",
        "alg NONE": f"{piece({**none, 'alg': 'NONE'})}.{body}.",
        "another algorithm": jwt.encode(claims, key.signing * 2, algorithm="HS512", headers={"kid": key.id}),
        "another key": minted(key=OTHER),
        "the kid of this key on the signature of another": signed({}, key=ApiKey.of(OTHER), kid=key.id),
        "the kid of another": signed({}, kid=ApiKey.of(OTHER).id),
        "no kid": jwt.encode(claims, key.signing),
        "signed with the API key itself": jwt.encode(claims, KEY.ljust(40), headers={"kid": key.id}),
        "signed with the digest of the key": jwt.encode(claims, key.digest, headers={"kid": key.id}),
        "no end": signed({"exp": None}),
        "no scopes": signed({"scp": None}),
        "no id": signed({"jti": None}),
        "an end that is text": signed({"exp": "2999-01-01"}),
        "an end that is true": signed({"exp": True}),
        "scopes that are text": signed({"scp": "index:read"}),
        "a critical extension": signed({}, crit=["b64"], b64=False),
        "nested without end": f"{piece(b'[' * 20_000)}.{body}.{signature}",
        "claims nested without end": f"{head}.{piece(b'[' * 20_000)}.{signature}",
        "an end nested nowhere": "..",
    }


@pytest.mark.parametrize("how", forgeries())
def test_a_forged_token_is_refused_and_not_repeated(how: str) -> None:
    token = forgeries()[how]
    with pytest.raises(TokenInvalid) as caught:
        granted(token)
    assert type(caught.value) is TokenInvalid
    said = f"{caught.value} {caught.value.details} {caught.value.__cause__}"
    assert not any(part in said for part in token.split(".") if len(part) > 6)


@given(st.one_of(st.text(), st.tuples(st.binary(), st.binary(), st.binary()).map(lambda parts: ".".join(piece(part) for part in parts))))
def test_nothing_that_is_sent_breaks_the_reader(text: str) -> None:
    with pytest.raises(TokenInvalid):
        granted(text)


@given(st.one_of(st.text(), st.tuples(st.sampled_from([scope.rpartition(":")[0] for scope in SCOPES]), st.text()).map(":".join)))
def test_a_scope_is_understood_or_refused(text: str) -> None:
    known = Scopes.known([text])
    if known.texts:
        assert Scopes.parse([text]) == known != Scopes(texts=(text,))
        return
    assert known == Scopes(texts=())
    with pytest.raises(InvalidScope):
        Scopes.parse([text])


def test_a_scope_that_a_newer_version_minted_grants_nothing() -> None:
    grant = granted(signed({"scp": ["run:rewind:run_01", 7, "index:read"], "iat": NOW, "nbf": NOW * 2}))
    assert grant.scopes == Scopes(texts=("index:read",), index=True)
