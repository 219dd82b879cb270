"""Case systems: who they are, how they prove it, and what they may (ADR-0009; RFC 7523; security-decisions H10 iv)."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from adapters.memory import MemoryStore
from adapters.sdk.api_model import create_body
from gateway.decide import AccessAction
from gateway.errors import (
    ConflictError,
    ForbiddenError,
    InvalidFormError,
    InvalidRequestError,
    NotFoundError,
    SessionEndedError,
)
from gateway.model.base import DAY, HOUR, MINUTE, SECOND, EnvelopeId, Instant, UserId
from gateway.model.classes import PrivacyClass
from gateway.model.identity import Factor, FactorKind, Membership, MembershipRole, Session, UserState
from gateway.sessions import session_id
from gateway.systems import LONGEST_KEY, MOST_ASSERTIONS
from keys.assertions import JoseAssertions
from tests.county import ALVESTA, DEMO_DIRECTORY, SEAT_E, VAXJO, password_of
from tests.path.test_oversight_pages import logged
from tests.sdk.serving import CLIENT, RISK, Served, a_message, a_server

pytestmark = pytest.mark.slow


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with a_server() as opened:
        yield opened


# --- signing in ------------------------------------------------------------------------------------------------------


def now_s(served: Served) -> int:
    return served.county.clock.now() // SECOND


async def test_an_assertion_gives_a_token_of_fifteen_minutes_that_use_does_not_renew(served: Served) -> None:
    """B1.4.2 §5: at most 30 minutes, no refresh."""
    status, told = await served.token()
    assert (status, told["token_type"], told["expires_in"], sorted(told)) == (
        200,
        "Bearer",
        900,
        ["access_token", "expires_in", "token_type"],
    )
    for _ in range(14):
        served.county.clock.advance(MINUTE)
        assert (await served.call("GET", "/sdk/messages", told["access_token"]))[0] == 200
    served.county.clock.advance(MINUTE)
    assert (await served.call("GET", "/sdk/messages", told["access_token"]))[0] == 401


async def test_every_assertion_that_is_not_sound_gets_one_answer(served: Served) -> None:
    now, stranger = now_s(served), ECKey.generate_key("P-256")
    bad: dict[str, str] = {
        "another key": served.assertion(stranger),
        "another subject": served.assertion(sub="somebody"),
        "an unknown client": served.assertion(iss="somebody", sub="somebody"),
        "a person": served.assertion(iss="al-sos", sub="al-sos"),
        "no issuer": served.assertion(iss=None),
        "another audience": served.assertion(aud="https://elsewhere.example/sdk/token"),
        "no audience": served.assertion(aud=None),
        "an audience of numbers": served.assertion(aud=[1]),
        "over": served.assertion(exp=now - 31),
        "without an end": served.assertion(exp=None),
        "too long": served.assertion(exp=now + 331),
        "an end that is none": served.assertion(exp="soon"),
        "not yet": served.assertion(nbf=now + 31),
        "from tomorrow": served.assertion(iat=now + 86400),
        "no id": served.assertion(jti=None),
        "an empty id": served.assertion(jti=""),
        "a long id": served.assertion(jti="x" * 257),
        "cut": served.assertion()[:-4],
        "nothing": "x",
        "three dots": "...",
        "longer than any": "x" * 2000,
        "HMAC with the public key": jwt.encode(
            {"alg": "HS256"},
            served.told[0],
            OctKey.import_key(JoseAssertions().public_key(served.key.as_dict(private=False)).ljust(64)),
        ),
    }
    for why, assertion in bad.items():
        assert await served.token(assertion) == (401, {"error": "invalid_client"}), why
    assert (await served.token())[0] == 200
    await served.county.gateway.sign_in.tell_refusals()
    assert (await logged(served.county)).count("sign_in_failed") >= 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_assertion_type": "x"}, "invalid_request"),
        ({"client_assertion": ""}, "invalid_request"),
        ({"scope": "urn:sdk.api:everything"}, "invalid_scope"),
        ({"scope": "urn:sdk.digg.se:auth_id:nobody"}, "invalid_scope"),
        ({f"field{number}": "x" for number in range(20)}, "invalid_request"),
    ],
)
async def test_a_call_for_a_token_that_is_none_is_told_as_rfc_6749_says(
    served: Served, changes: dict[str, str], error: str
) -> None:
    assertion = served.assertion()
    kept = {name: value for name, value in changes.items() if name != "client_assertion"}
    form = {"client_assertion": assertion, **changes} if "client_assertion" in changes else kept
    if "client_assertion" in changes:
        async with served.http.post(
            f"{served.address}/sdk/token", data={"grant_type": "client_credentials", **form}
        ) as told:
            assert (told.status, await told.json()) == (400, {"error": error})
    else:
        assert await served.token(assertion, **form) == (400, {"error": error})


async def test_an_assertion_works_once_whoever_sends_it_and_however_many_at_once(served: Served) -> None:
    assertion = served.assertion()
    answers = await asyncio.gather(*(served.token(assertion) for _ in range(6)))
    assert sorted(status for status, _ in answers) == [200, 401, 401, 401, 401, 401]
    served.county.clock.advance(MINUTE // 2)
    assert (await served.token(assertion))[0] == 401
    several = await asyncio.gather(*(served.token(served.assertion(jti=f"n{number}")) for number in range(6)))
    assert {status for status, _ in several} == {200}  # different ones do not hinder each other


async def test_used_assertions_are_forgotten_when_they_are_over_and_never_more_than_a_few_are_kept(
    served: Served,
) -> None:
    systems = served.county.gateway.systems
    audience = [f"{served.address}/sdk/token"]
    for number in range(MOST_ASSERTIONS):
        await systems.token(served.assertion(jti=f"n{number}"), audience=audience)
    with pytest.raises(Exception, match="too many attempts"):
        await systems.token(served.assertion(jti="one more"), audience=audience)
    served.county.clock.advance(2 * MINUTE)
    await systems.token(served.assertion(jti="later"), audience=audience)
    factor = await served.county.store.get(Factor, served.system.user.id, FactorKind.KEY)
    assert factor is not None
    assert len(factor.used) == 1
    served.county.clock.advance(HOUR)
    await systems.token(served.assertion(jti="much later"), audience=audience)
    assert len(await served.county.store.sessions_of(served.system.user.id)) == 1  # ended ones go


async def test_a_key_ends_on_its_day_and_a_replaced_one_waits_a_day(served: Served) -> None:
    county = served.county
    _, told = await served.token()
    fresh = ECKey.generate_key("P-256")
    ends = Instant(county.clock.now() + 30 * DAY)
    replaced = await county.gateway.systems.replace_key(
        served.admin, served.system.user.id, key=fresh.as_dict(private=False), ends_at=ends
    )
    assert replaced.usable_from == county.clock.now() + DAY
    assert (await served.call("GET", "/sdk/messages", told["access_token"]))[0] == 401  # its sessions ended
    assert (await served.token())[0] == 401  # the former key
    assert (await served.token(served.assertion(fresh)))[0] == 401  # not yet
    county.clock.advance(DAY)
    assert (await served.token(served.assertion(fresh)))[0] == 200
    county.clock.set(ends)
    assert (await served.token(served.assertion(fresh)))[0] == 401


async def test_a_disabled_system_is_out_at_once(served: Served) -> None:
    _, told = await served.token()
    await served.county.gateway.accounts.disable(served.system.user.id, by=served.admin.user)
    assert (await served.call("GET", "/sdk/messages", told["access_token"]))[0] == 401
    assert (await served.token())[0] == 401
    await served.county.gateway.accounts.enable(served.system.user.id, by=served.admin.user)
    assert (await served.token())[0] == 200


async def test_a_row_changed_past_the_gateway_signs_nobody_in_and_is_an_alarm(served: Served) -> None:
    """A key of one's own planted in the database, an end moved, a ceiling raised: each has a MAC."""
    store, thief = cast(MemoryStore, served.county.store), ECKey.generate_key("P-256")
    factor = await store.get(Factor, served.system.user.id, FactorKind.KEY)
    assert factor is not None
    planted = dataclasses.replace(factor, secret=JoseAssertions().public_key(thief.as_dict(private=False)))
    store.tamper(planted)
    assert (await served.token(served.assertion(thief)))[0] == 401
    store.tamper(dataclasses.replace(factor, used=("9999999999:" + "0" * 64,)))
    assert (await served.token())[0] == 401
    store.tamper(factor)
    await served.admitted(PrivacyClass.P2)
    row = await store.get(Membership, ALVESTA, served.system.user.id)
    assert row is not None
    store.tamper(dataclasses.replace(row, ceiling="P5"))
    status, body, _ = await served.call("GET", "/sdk/messages")
    assert status >= 400
    assert "data" not in body
    assert (await logged(served.county)).count("alarm") == 2  # the factor once a minute, and the membership


# --- what a token is for ---------------------------------------------------------------------------------------------


async def test_a_system_token_opens_nothing_that_people_use_and_theirs_nothing_of_its(served: Served) -> None:
    _, told = await served.token()
    for path in ("/api/v1/inboxes", "/api/v1/forms", f"/api/v1/inboxes/{ALVESTA}/messages", "/api/v1/sessions"):
        assert (await served.call("GET", path, told["access_token"]))[0] == 401, path
    with pytest.raises(SessionEndedError):
        await served.county.gateway.sessions.authenticate(told["access_token"])
    code = await served.county.sign_in("al-sos")
    assert code.session.method == "password+totp"
    with pytest.raises(SessionEndedError):
        await served.county.gateway.sessions.authenticate_system("x")
    for token in ("", "x", "a" * 43):
        assert (await served.call("GET", "/sdk/messages", token or "-"))[0] == 401


async def test_a_scope_narrows_a_token_to_operations_and_functions(served: Served) -> None:
    envelope = await served.written(await served.referred())
    await served.admitted()

    async def token(scope: str) -> str:
        status, told = await served.token(scope=scope)
        assert status == 200
        return str(told["access_token"])

    lists = await token("urn:sdk.api:getMessageByFilter")
    assert [one["id"] for one in (await served.call("GET", "/sdk/messages", lists))[1]["data"]] == [envelope]
    for method, path in (("GET", f"/{envelope}"), ("DELETE", f"/{envelope}"), ("POST", "")):
        status, body, _ = await served.call(method, f"/sdk/messages{path}", lists)
        assert (status, [one["in"] for one in body["eventIssues"]]) == (400, ["scope"])
    elsewhere = await token(f"urn:sdk.digg.se:auth_id:sambud:{VAXJO}")
    assert (await served.call("GET", "/sdk/messages", elsewhere))[1]["data"] == []
    assert (await served.call("GET", f"/sdk/messages/{envelope}", elsewhere))[0] == 404
    here = await token(f"urn:sdk.digg.se:auth_id:sambud:{ALVESTA} urn:sdk.api:getMessage")
    assert (await served.call("GET", f"/sdk/messages/{envelope}", here))[0] == 200


# --- what a system may -----------------------------------------------------------------------------------------------


async def test_it_may_read_write_and_begin_a_case_and_nothing_that_asks_for_somebodys_judgement(
    served: Served,
) -> None:
    await served.admitted()
    signed = await signed_in(served)
    standing = await served.county.gateway.rights.act(signed, ALVESTA, AccessAction.READ)
    allowed = await served.county.gateway.rights.allowed(standing)
    assert allowed == {
        AccessAction.READ,
        AccessAction.LIST_INBOX,
        AccessAction.WRITE_DRAFT,
        AccessAction.UPLOAD_ATTACHMENT,
        AccessAction.OPEN_CASE,
    }
    with pytest.raises(ForbiddenError):
        await served.county.gateway.rights.act(signed, ALVESTA, AccessAction.SEND, form_type="placement_referral")
    await served.county.gateway.rights.act(signed, ALVESTA, AccessAction.SEND, form_type="case_message")


async def signed_in(served: Served) -> Any:
    _, told = await served.token()
    return await served.county.gateway.sessions.authenticate_system(told["access_token"])


@pytest.mark.parametrize(
    ("ceiling", "sees"),
    [(None, set()), (PrivacyClass.P2, set()), (PrivacyClass.P3, {"case_message"}), (PrivacyClass.P5, {"case_message"})],
)
async def test_it_sees_and_opens_up_to_its_ceiling(
    served: Served, ceiling: PrivacyClass | None, sees: set[str]
) -> None:
    envelope = await served.written(await served.referred())
    await served.admitted(ceiling)
    body = (await served.call("GET", "/sdk/messages"))[1]
    assert [one["id"] for one in body["data"]] == ([envelope] if sees else [])
    assert (await served.call("GET", f"/sdk/messages/{envelope}"))[0] == (200 if sees else 404)
    assert bool(await served.county.store.readings_of(EnvelopeId(envelope))) == bool(sees)


async def test_a_ceiling_is_a_systems_and_above_p2_somebody_decided_it(served: Served) -> None:
    propose, system = served.county.gateway.administering.propose, served.system.user.id
    people = await served.county.gateway.administering.candidates(served.admin, ALVESTA)
    person = next((user.id for user in people.users if not user.is_system), None)
    bad: list[tuple[UserId, MembershipRole, dict[str, Any]]] = [
        (system, MembershipRole.MEMBER, {"ceiling": PrivacyClass.P3}),
        (system, MembershipRole.MEMBER, {"ceiling": PrivacyClass.P3, "risk_decision": "  "}),
        (system, MembershipRole.MEMBER, {"ceiling": PrivacyClass.P3, "risk_decision": "x" * 65}),
        (system, MembershipRole.MEMBER, {"ceiling": PrivacyClass.P6, "risk_decision": RISK}),
        (system, MembershipRole.DEPUTY, {}),
        *([(person, MembershipRole.MEMBER, {"ceiling": PrivacyClass.P2})] if person else []),
    ]
    for user, role, more in bad:
        with pytest.raises(InvalidRequestError):
            await propose(served.admin, ALVESTA, user, role, **more)
    proposed = await propose(served.admin, ALVESTA, system, MembershipRole.MEMBER)
    assert proposed.ceiling == "P2"


async def test_members_see_what_they_let_in_and_only_they_can(served: Served) -> None:
    gateway, system = served.county.gateway, served.system.user.id
    await gateway.administering.propose(
        served.admin, ALVESTA, system, MembershipRole.MEMBER, ceiling=PrivacyClass.P3, risk_decision=RISK
    )
    assert (await served.call("GET", "/sdk/messages"))[1]["data"] == []  # a proposal reads nothing
    with pytest.raises(NotFoundError):
        await gateway.inboxes.admit(await signed_in(served), ALVESTA, system)
    await gateway.inboxes.admit(served.worker, ALVESTA, system)
    [one] = [one for one in await gateway.inboxes.people(served.worker, ALVESTA) if one.system]
    assert (one.title, one.membership.ceiling, one.admitted_by) == (
        "Verksamhetssystem, vuxen",
        "P3",
        served.worker.user.title,
    )
    with pytest.raises(InvalidRequestError):  # another authority's inbox
        await gateway.administering.propose(served.admin, SEAT_E, system, MembershipRole.MEMBER)


async def test_whoever_is_removed_reads_nothing_more_at_the_next_call(served: Served) -> None:
    envelope = await served.written(await served.referred())
    await served.admitted()
    _, told = await served.token()
    assert (await served.call("GET", f"/sdk/messages/{envelope}", told["access_token"]))[0] == 200
    directory = await served.county.gateway.directory.current()
    await served.county.gateway.members.remove(directory.inbox(ALVESTA), served.system.user.id, by=served.worker.user)
    assert (await served.call("GET", f"/sdk/messages/{envelope}", told["access_token"]))[0] == 404
    status, body, _ = await served.call(
        "POST", "/sdk/messages", told["access_token"], json=create_body(a_message(served))
    )
    assert (status, [one["in"] for one in body["eventIssues"]]) == (400, ["senderAttention"])


async def test_its_openings_have_a_pace_that_new_tokens_do_not_widen_and_an_alarm_tells(served: Served) -> None:
    async with a_server(system_openings=2) as paced:
        case = await paced.referred()
        envelopes = [await paced.written(case, f"Meddelande {number}") for number in range(3)]
        await paced.admitted()
        for envelope in (*envelopes[:2], envelopes[0]):  # what was read in the same quarter is not counted again
            assert (await paced.call("GET", f"/sdk/messages/{envelope}"))[0] == 200
        for _ in range(2):
            status, _, headers = await paced.call("GET", f"/sdk/messages/{envelopes[2]}")
            assert (status, int(headers["Retry-After"]) > 0) == (429, True)
        assert (await logged(paced.county)).count("alarm") == 1
        paced.county.clock.advance(15 * MINUTE)
        assert (await paced.call("GET", f"/sdk/messages/{envelopes[2]}"))[0] == 200


# --- registering -----------------------------------------------------------------------------------------------------


async def test_only_an_administrator_registers_and_a_bad_registration_is_refused(served: Served) -> None:
    register, key = served.county.gateway.systems.register, ECKey.generate_key("P-256").as_dict(private=False)
    good: dict[str, Any] = {
        "title": "Verksamhetssystem",
        "administration": served.worker.user.administration,
        "key": key,
        "ends_at": Instant(served.county.clock.now() + DAY),
    }
    with pytest.raises(ForbiddenError):
        await register(served.worker, "another", **good)
    with pytest.raises(ConflictError):
        await register(served.admin, CLIENT, **good)
    with pytest.raises(ConflictError):
        await register(served.admin, "AL-SOS", **good)
    now = served.county.clock.now()
    bad: list[tuple[str, dict[str, Any]]] = [
        ("x", {}),
        ("two words", {}),
        ("é" * 5, {}),
        ("another", {"title": " "}),
        ("another", {"title": "x" * 129}),
        ("another", {"title": "a\u202eb"}),
        ("another", {"administration": "nowhere"}),
        ("another", {"ends_at": now}),
        ("another", {"ends_at": Instant(now + LONGEST_KEY + 1)}),
        ("another", {"key": {}}),
        ("another", {"key": ECKey.generate_key("P-256").as_dict(private=True)}),
        ("another", {"key": ECKey.generate_key("P-384").as_dict(private=False)}),
        ("another", {"key": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}),
        ("another", {"key": {"kty": "RSA", "n": "AA", "e": "AQAB"}}),
        ("another", {"key": {"kty": "oct", "k": "AAAA"}}),
    ]
    for client, changes in bad:
        with pytest.raises(InvalidRequestError):
            await register(served.admin, client, **{**good, **changes})
    rsa = RSAKey.generate_key(2048).as_dict(private=False)
    done = await register(served.admin, "another", **{**good, "key": rsa})
    assert (done.user.roles, done.user.state) == (("system",), UserState.ACTIVE)
    assert [one.user.login for one in await served.county.gateway.systems.all(served.admin)] == [CLIENT, "another"]


async def test_a_person_cannot_be_made_a_system_by_a_file(served: Served) -> None:
    wrong = DEMO_DIRECTORY.replace('roles = ["auditor"]', 'roles = ["system"]')
    assert wrong != DEMO_DIRECTORY
    with pytest.raises(InvalidFormError):
        await served.county.gateway.register.apply(wrong, passwords=password_of, by="test")


async def test_a_session_says_how_it_began(served: Served) -> None:
    _, told = await served.token()
    row = await served.county.store.get(Session, session_id(told["access_token"]))
    assert row is not None
    assert (row.method, row.ends_at - row.started_at) == ("private_key_jwt", 15 * MINUTE)
