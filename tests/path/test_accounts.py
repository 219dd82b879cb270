"""Accounts and factors: what is planted opens nothing, what is replaced waits, what is weak is refused (C14, H10)."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.errors import GatewayError, InvalidRequestError, SignInError
from gateway.factors import check_new_password, matched_step, totp_uri
from gateway.identity import METHODS
from gateway.model.base import DAY, SECOND, Instant
from gateway.model.identity import Factor, FactorKind, Session, UserState
from gateway.ports import Delete, Work
from tests.people import PASSWORD, STEP, People, by_sql

LOGIN = "handlaggare.vuxen"


@pytest.fixture
async def people() -> People:
    return await People.in_a_world()


# --- C14: rows planted by SQL ----------------------------------------------------------------------------------------


async def test_a_planted_role_is_no_role(people: People) -> None:
    """S3: the row of the user is authenticated; somebody who writes to the database gives himself nothing."""
    person = await people.person(LOGIN)
    await by_sql(people.store, person.user, roles=("auditor", "system_administrator"))

    with pytest.raises(SignInError):
        await people.enters(person)

    assert await people.alarms() == [("integrity-failure", person.user.id)]


@pytest.mark.parametrize("kind", METHODS)
async def test_a_planted_factor_opens_nothing(people: People, kind: FactorKind) -> None:
    """S3: neither a password hash of one's own nor another account's seed."""
    victim, thief = await people.person(LOGIN), await people.person("annan.handlaggare")
    own = await people.store.get(Factor, thief.user.id, kind)
    assert own is not None
    await people.store.commit(Work(changes=(Delete(Factor, (victim.user.id, kind)),)))
    await by_sql(people.store, own, user=victim.user.id)

    with pytest.raises(SignInError):
        await people.enters(dataclasses.replace(thief, user=victim.user))

    assert await people.alarms() == [("integrity-failure", f"{victim.user.id}/{kind}")]


@pytest.mark.parametrize(
    "changed", [{"last_step": 0}, {"usable_from": 0}, {"version": 7}, {"secret": b"x"}, {"created_at": 1}]
)
async def test_a_factor_altered_in_any_field_is_refused(people: People, changed: dict[str, object]) -> None:
    """F01 by SQL: setting the last step back does not bring a used code back."""
    person = await people.person(LOGIN)
    await people.enters(person)
    used = await people.store.get(Factor, person.user.id, FactorKind.TOTP)
    assert used is not None
    await by_sql(people.store, used, **changed)
    people.clock.advance(STEP)

    with pytest.raises(SignInError):
        await people.enters(person)


# --- factors and accounts --------------------------------------------------------------------------------------------


async def test_a_factor_that_an_administrator_replaced_waits_24_hours_ends_sessions_and_is_logged(
    people: People,
) -> None:
    """H10 (ii): time for its user to notice."""
    person, administrator = await people.person(LOGIN), await people.person("systemadministration")
    await people.signed_in(person)

    seed = await people.accounts.replace_totp(person.user.id, by=administrator.user)

    replaced = dataclasses.replace(person, seed=seed)
    assert await people.sessions.list(person.user) == []
    assert ("factor_replaced", "done", person.user.id) in await people.told()
    people.clock.advance(DAY - STEP)
    with pytest.raises(SignInError):
        await people.enters(replaced)
    people.clock.advance(STEP)
    with pytest.raises(SignInError):
        await people.enters(person)
    assert await people.enters(replaced)


async def test_a_replaced_password_waits_as_well(people: People) -> None:
    person, administrator = await people.person(LOGIN), await people.person("systemadministration")
    new = "grön mossa vandrar hemåt snart"
    await people.accounts.replace_password(person.user.id, new, by=administrator.user)
    replaced = dataclasses.replace(person, password=new)

    with pytest.raises(SignInError):
        await people.enters(replaced)
    people.clock.advance(DAY)
    assert await people.enters(replaced)


async def test_an_administrator_does_not_replace_an_own_factor(people: People) -> None:
    administrator = await people.person("systemadministration")

    with pytest.raises(GatewayError, match="oneself"):
        await people.accounts.replace_totp(administrator.user.id, by=administrator.user)


async def test_disabling_ends_sign_in_and_every_session(people: People) -> None:
    person, administrator = await people.person(LOGIN), await people.person("systemadministration")
    signed = await people.signed_in(person)

    disabled = await people.accounts.disable(person.user.id, by=administrator.user)

    assert disabled.state is UserState.DISABLED
    assert (await people.store.get(Session, signed.session.id)).state == "ended"  # type: ignore[union-attr]
    with pytest.raises(SignInError):
        await people.enters(person)


async def test_no_account_is_made_or_changed_with_a_guessable_password(people: People) -> None:
    person, administrator = await people.person(LOGIN), await people.person("systemadministration")
    with pytest.raises(InvalidRequestError):
        await people.accounts.create(person.user, "Sommar2026!!!!!!", at=people.clock.now())
    with pytest.raises(InvalidRequestError):
        await people.accounts.replace_password(person.user.id, "Sommar2026!!!!!!", by=administrator.user)
    with pytest.raises(InvalidRequestError):
        await people.accounts.replace_password(person.user.id, f"{LOGIN} och mer", by=administrator.user)


@pytest.mark.parametrize(
    "password",
    [
        "kort lösen här",  # 14 characters
        "x" * 257,
        "aaaaaaaaaaaaaaaaaaaa",
        "abababababababababab",
        "blåbärblåbärblåbär",
        "abcdefghijklmnopqrstuvwxyz",
        "987654321098765432109",
        "handlaggare.vuxen-2026",
        "HANDLAGGARE.VUXEN och lite till",
        "correcthorsebatterystaple",
        "Lösenord123456789!",
        "Sommar2026Sommar2025!",
        "Välkommen till Sambud 1",
        "qwertyuiopasdfghjkl",
        "Kommunen2026!!!!!!",
    ],
)
def test_a_guessable_password_is_refused_in_swedish_without_repeating_it(password: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        check_new_password(password, LOGIN)
    assert "Lösenordet" in refused.value.swedish
    assert password not in f"{refused.value}{refused.value.swedish}{refused.value.next_step}"


@pytest.mark.parametrize("password", [PASSWORD, "fyra gamla cyklar i regn", "Korn-Plåt-Vessla-9-Tunna", "ö" + PASSWORD])
def test_a_long_passphrase_is_accepted(password: str) -> None:
    check_new_password(password, LOGIN)


def test_codes_are_those_of_the_standard() -> None:
    """RFC 6238 appendix B, SHA-1, the last six of eight digits."""
    seed = b"12345678901234567890"
    vectors = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037"}
    for seconds, code in vectors.items():
        assert matched_step(seed, code, Instant(seconds * SECOND), window=0) == seconds // 30
    assert totp_uri(seed, LOGIN).startswith("otpauth://totp/Sambud:handlaggare.vuxen?secret=")


@pytest.mark.parametrize("code", ["", "28708", "2870822", "-87082", "２８７０８２", "٢٨٧٠٨٢", "28708\x00"])
def test_what_is_not_six_ascii_digits_is_no_code(code: str) -> None:
    assert matched_step(b"12345678901234567890", code, Instant(59 * SECOND), window=1) is None
