"""Sign-in: two factors, once each, slow to guess, and silent about who exists (catalogue F01–F04)."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import statistics
import threading
import time
from collections import Counter

import pytest

from gateway.errors import GatewayError, SignInError, TooManyAttemptsError
from gateway.factors import HARD_STOP, delay_after
from gateway.identity import ARGON2_AT_A_TIME, ARGON2_WAITING, METHODS, SignedIn
from gateway.model import ROWS
from gateway.model.base import DAY, HOUR, MINUTE, SECOND, AdministrationId, InboxId, Instant, Row
from gateway.model.identity import AttemptCounter, Factor, FactorKind, StepUpWindow
from gateway.ports import Delete, Work
from gateway.sessions import Signed
from keys.keyring import Keyring
from keys.vault import KeyVault
from tests.people import PASSWORD, STEP, People, Person, QuickVault, by_sql
from tests.world import a_world, an_inbox

LOGIN = "handlaggare.vuxen"
INBOX = an_inbox()


@pytest.fixture
async def people() -> People:
    return await People.in_a_world()


def everything(people: People) -> list[Row]:
    """Every row that is kept."""
    return [row for kind in ROWS for row in people.store._rows(kind)]


async def test_both_factors_together_open_a_session(people: People) -> None:
    person = await people.person(LOGIN)

    entered = await people.enters(person)

    signed = await people.sessions.authenticate(entered.token)
    assert signed.user == person.user
    assert signed.session.method == "password+totp"
    assert ("signed_in", "permit", person.user.id) in await people.told()


async def test_the_login_is_typed_in_any_case_and_the_password_in_any_unicode_spelling(people: People) -> None:
    """NIST SP 800-63B-4 §3.1.1.2: normalise before hashing."""
    person = await people.person(LOGIN)
    decomposed = PASSWORD.replace("å", "a\u030a")
    assert decomposed != PASSWORD

    assert await people.sign_in.sign_in(f" {LOGIN.upper()} ", decomposed, person.code(people.clock.now()))


async def test_a_token_has_256_bit_and_no_row_holds_it(people: People) -> None:
    person = await people.person(LOGIN)
    entered = await people.enters(person)

    assert len(entered.token) == 43
    assert not [row for row in everything(people) if entered.token in repr(row)]


# --- F01: a code works once ------------------------------------------------------------------------------------------

#: Codes by time step, each with the step in which it is used; the last one is the reuse. Window 1 accepts neighbours.
ORDERS: dict[str, tuple[int, list[tuple[int, int]]]] = {
    "A A": (0, [(0, 0), (0, 0)]),
    "A B A": (1, [(0, 0), (1, 1), (0, 1)]),
    "B A, the older one still inside the window": (1, [(1, 0), (0, 0)]),
    "A, then A in the next step": (1, [(0, 0), (0, 1)]),
    "A from the step before, then A": (1, [(0, 1), (0, 1)]),
}
FIRST = ("sign-in", "step-up")
AGAIN = ("sign-in", "sign-in after a restart", "step-up", "step-up in another session", "step-up after a restart")


async def uses(place: str, people: People, person: Person, sessions: list[Signed], code: str) -> object:
    """Use `code` at `place`."""
    if place.endswith("after a restart"):
        people = people.restarted(window=1)
    if place.startswith("sign-in"):
        return await people.sign_in.sign_in(LOGIN, PASSWORD, code)
    return await people.windows.open(sessions["another" in place], INBOX, code)


async def used_twice(order: str, first: str, again: str) -> bool:
    """Whether the last use in `order` succeeds; every use before it must."""
    window, steps = ORDERS[order]
    people = await People.in_a_world(window=window)
    person = await people.person(LOGIN)
    sessions = [await people.signed_in(person), await people.signed_in(person)]
    people.clock.advance(4 * STEP)
    start = people.clock.now()

    for position, (shown, used) in enumerate(steps):
        people.clock.set(Instant(start + used * STEP))
        code = person.code(start, steps=shown)
        if position < len(steps) - 1:
            assert await uses(first, people, person, sessions, code)
    try:
        await uses(again, people, person, sessions, code)
    except SignInError:
        return False
    return True


async def test_a_code_is_worth_one_use() -> None:
    """F01, RFC 6238 §5.2: the second use is refused in every order, place, session and process."""
    cases = list(itertools.product(ORDERS, FIRST, AGAIN))
    accepted = [case for case in cases if await used_twice(*case)]
    print(f"F01: {len(cases)} cases, {len(accepted)} second uses accepted")
    assert accepted == []
    assert len(cases) == 50


# --- F02: parallel uses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempt", range(5))
async def test_of_a_hundred_parallel_sign_ins_with_one_code_one_succeeds(people: People, attempt: int) -> None:
    """F02: two processes on one store; the compare-and-set of the step lets one commit win."""
    person = await people.person(LOGIN)
    people.clock.advance(attempt * 7 * SECOND)
    code = person.code(people.clock.now())
    processes = [people, people.restarted()]

    results = await asyncio.gather(
        *(processes[turn % 2].sign_in.sign_in(LOGIN, PASSWORD, code) for turn in range(100)), return_exceptions=True
    )

    assert sum(isinstance(result, SignedIn) for result in results) == 1
    assert all(isinstance(result, SignedIn | SignInError | TooManyAttemptsError) for result in results)
    assert len(await people.store.sessions_of(person.user.id)) == 1
    print(f"F02: {len(results)} parallel sign-ins, 1 accepted")


@pytest.mark.parametrize("attempt", range(5))
async def test_of_a_hundred_parallel_step_ups_with_one_code_one_succeeds(people: People, attempt: int) -> None:
    """F02: also when each asks for an inbox of its own."""
    person = await people.person(LOGIN)
    signed = await people.signed_in(person)
    people.clock.advance(attempt * STEP)
    code = person.code(people.clock.now())
    processes = [people, people.restarted()]
    inboxes = [dataclasses.replace(INBOX, id=InboxId(f"inbox.{turn}")) for turn in range(100)]

    results = await asyncio.gather(
        *(processes[turn % 2].windows.open(signed, inbox, code) for turn, inbox in enumerate(inboxes)),
        return_exceptions=True,
    )

    assert sum(isinstance(result, StepUpWindow) for result in results) == 1
    assert len(people.store._rows(StepUpWindow)) == 1
    print(f"F02: {len(results)} parallel step-ups, 1 accepted")


async def test_parallel_guesses_meet_the_same_limit_as_guesses_in_a_row(people: People) -> None:
    """F03: at most five are looked at, however many come at once."""
    person = await people.person(LOGIN)
    signed = await people.signed_in(person)

    results = await asyncio.gather(
        *(people.windows.open(signed, INBOX, f"{guess:06}") for guess in range(50)), return_exceptions=True
    )

    looked_at = [result for result in results if isinstance(result, SignInError)]
    assert len(looked_at) == 5
    assert all(isinstance(result, SignInError | TooManyAttemptsError) for result in results)


async def test_a_right_code_is_burned_although_the_password_was_wrong(people: People) -> None:
    """The step is spent before the password's result is told: a guesser pays a code for each password."""
    person = await people.person(LOGIN)
    code = person.code(people.clock.now())
    with pytest.raises(SignInError):
        await people.sign_in.sign_in(LOGIN, "fel lösenord men långt nog", code)

    with pytest.raises(SignInError):
        await people.sign_in.sign_in(LOGIN, PASSWORD, code)
    people.clock.advance(STEP)
    assert await people.enters(person)


class WaitingVault(QuickVault):
    """Checks a password only when the test says so."""

    def __init__(self, keyring: Keyring) -> None:
        super().__init__(keyring.hierarchy, keyring.shred)
        self.asked, self.go_on = threading.Event(), threading.Event()

    def check_password(self, password: str, phc: bytes) -> bool:
        self.asked.set()
        assert self.go_on.wait(10)
        return super().check_password(password, phc)


async def test_an_account_disabled_while_its_password_is_checked_gets_no_session() -> None:
    """H1: the commit is the moment that counts."""
    people = People(await a_world(), vault=WaitingVault)
    assert isinstance(people.vault, WaitingVault)
    person, administrator = await people.person(LOGIN), await people.person("systemadministration")
    entering = asyncio.create_task(people.enters(person))
    await asyncio.to_thread(people.vault.asked.wait, 10)

    await people.accounts.disable(person.user.id, by=administrator.user)
    people.vault.go_on.set()

    with pytest.raises(SignInError):
        await entering
    assert await people.store.sessions_of(person.user.id) == []


# --- F03: delays -----------------------------------------------------------------------------------------------------

DELAYS = [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(("failures", "minutes"), list(enumerate(DELAYS)))
def test_the_delay_after_failures_in_a_row(failures: int, minutes: int) -> None:
    assert delay_after(failures) == minutes * MINUTE


@pytest.mark.parametrize("login", [LOGIN, "finns.inte"])
async def test_delays_grow_as_the_table_says_and_survive_restarts(people: People, login: str) -> None:
    """F03: for a login that exists and for one that does not; each try comes from a new process."""
    await people.person(LOGIN)
    for minutes in DELAYS[1:]:
        with pytest.raises(SignInError):
            await people.restarted().sign_in.sign_in(login, "fel lösenord men långt nog", "000000")
        if minutes:
            people.clock.advance(minutes * MINUTE - 1)
            with pytest.raises(TooManyAttemptsError) as refused:
                await people.restarted().sign_in.sign_in(login, PASSWORD, "000000")
            assert refused.value.retry_after_s == 1
            people.clock.advance(1)


async def test_a_right_sign_in_breaks_the_row_of_failures(people: People) -> None:
    person = await people.person(LOGIN)
    for _ in range(4):
        with pytest.raises(SignInError):
            await people.sign_in.sign_in(LOGIN, "fel lösenord men långt nog", "000000")
    await people.enters(person)

    assert [row.failures for row in people.store._rows(AttemptCounter)] == [0, 0]


async def test_a_hundred_failures_in_a_row_stop_the_method_until_it_is_unlocked(people: People) -> None:
    """NIST SP 800-63B-4 §3.2.2: no more than 100 consecutive failures."""
    person, administrator = await people.person(LOGIN), await people.person("systemadministration")
    for _ in range(HARD_STOP):
        with pytest.raises(SignInError):
            await people.sign_in.sign_in(LOGIN, "fel lösenord men långt nog", "000000")
        people.clock.advance(HOUR)
    people.clock.advance(1000 * DAY)
    with pytest.raises(TooManyAttemptsError) as refused:
        await people.restarted().enters(person)
    assert refused.value.retry_after_s == 3600

    await people.accounts.unlock(person.user.id, by=administrator.user)

    assert await people.enters(person)


async def test_wrong_codes_at_step_up_delay_the_next_sign_in_too(people: People) -> None:
    """One counter for each (account, method): the code is the same secret wherever it is asked for."""
    person = await people.person(LOGIN)
    signed = await people.signed_in(person)
    for _ in range(5):
        with pytest.raises(SignInError):
            await people.windows.open(signed, INBOX, "000000")

    with pytest.raises(TooManyAttemptsError):
        await people.enters(person)


# --- F04: nobody learns who exists -----------------------------------------------------------------------------------


async def refusal(people: People, login: str, password: str, code: str) -> tuple[type[GatewayError], str, str, str]:
    with pytest.raises(SignInError) as refused:
        await people.sign_in.sign_in(login, password, code)
    error = refused.value
    return type(error), str(error), error.swedish, error.next_step


async def test_every_cause_has_the_same_answer(people: People) -> None:
    """F04: unknown, wrong password, wrong code, disabled, waiting, altered, incomplete: one answer."""
    names = ["fel.losen", "fel.kod", "avstangd", "vantar", "andrad", "planterad", "halv"]
    by_name = {name: await people.person(name) for name in names}
    administrator = (await people.person("systemadministration")).user
    await people.accounts.disable(by_name["avstangd"].user.id, by=administrator)
    waiting = dataclasses.replace(
        by_name["vantar"], seed=await people.accounts.replace_totp(by_name["vantar"].user.id, by=administrator)
    )
    await by_sql(people.store, by_name["andrad"].user, roles=("auditor",))
    planted = await people.store.get(Factor, by_name["planterad"].user.id, FactorKind.PASSWORD)
    assert planted is not None
    await by_sql(people.store, planted, secret=people.vault.hash_password("planterat lösenord, långt"))
    half = await people.store.get(Factor, by_name["halv"].user.id, FactorKind.TOTP)
    assert half is not None
    await people.store.commit(Work(changes=(Delete(Factor, half.key),)))
    now = people.clock.now()

    answers = [
        await refusal(people, "finns.inte", PASSWORD, "123456"),
        await refusal(people, "x" * 10_000, PASSWORD, "123456"),
        await refusal(people, "", "", ""),
        await refusal(people, "fel.losen", "fel lösenord men långt nog", by_name["fel.losen"].code(now)),
        await refusal(people, "fel.kod", PASSWORD, "12345٣"),
        await refusal(people, "avstangd", PASSWORD, by_name["avstangd"].code(now)),
        await refusal(people, "vantar", PASSWORD, waiting.code(now)),
        await refusal(people, "andrad", PASSWORD, by_name["andrad"].code(now)),
        await refusal(people, "planterad", "planterat lösenord, långt", by_name["planterad"].code(now)),
        await refusal(people, "halv", PASSWORD, by_name["halv"].code(now)),
    ]

    assert len(set(answers)) == 1


class CountingVault(QuickVault):
    """Counts the work that an answer costs."""

    def __init__(self, keyring: Keyring) -> None:
        super().__init__(keyring.hierarchy, keyring.shred)
        self.work: Counter[str] = Counter()

    async def mac(self, administration: AdministrationId, octets: bytes) -> bytes:
        self.work["mac"] += 1
        return await super().mac(administration, octets)

    async def fingerprint(self, administration: AdministrationId, purpose: str, octets: bytes) -> bytes:
        self.work["fingerprint"] += 1
        return await super().fingerprint(administration, purpose, octets)

    async def open_field(self, administration: AdministrationId, context: str, sealed: bytes) -> bytes:
        self.work["open_field"] += 1
        return await super().open_field(administration, context, sealed)

    def check_password(self, password: str, phc: bytes) -> bool:
        self.work["argon2"] += 1
        return super().check_password(password, phc)


async def test_a_known_and_an_unknown_login_cost_the_same_work() -> None:
    """F04: the same MACs, the same opened seed, one Argon2id, and one counted attempt."""
    people = People(await a_world(), vault=CountingVault)
    vault = people.vault
    assert isinstance(vault, CountingVault)
    await people.person(LOGIN)
    await refusal(people, "finns.inte", PASSWORD, "000000")  # the first refusal writes the tally and makes the decoy

    costs = []
    for login in (LOGIN, "finns.inte", "inte.heller"):
        vault.work.clear()
        size = len(people.store._rows(AttemptCounter))
        await refusal(people, login, "fel lösenord men långt nog", "000000")
        costs.append(dict(vault.work))
        assert len(people.store._rows(AttemptCounter)) in (size, size + len(METHODS))

    assert costs == [{"mac": 3, "fingerprint": 1, "open_field": 1, "argon2": 1}] * 3


@pytest.mark.slow
async def test_a_known_and_an_unknown_login_take_the_same_time() -> None:
    """F04 with the real Argon2id: medians of interleaved tries differ less than the machine's own noise."""
    people = People(await a_world(), vault=lambda keyring: keyring.vault)
    await people.person(LOGIN)
    await refusal(people, "finns.inte", PASSWORD, "000000")
    took: dict[str, list[float]] = {LOGIN: [], "finns.inte": []}
    for _ in range(40):
        for login, times in took.items():
            people.clock.advance(HOUR)
            before = time.perf_counter()
            await refusal(people, login, "fel lösenord men långt nog", "000000")
            times.append(time.perf_counter() - before)

    known, unknown = (statistics.median(times) for times in took.values())
    assert 0.8 < known / unknown < 1.25


async def test_what_was_typed_as_login_is_kept_nowhere(people: People) -> None:
    """People type their password into the wrong field."""
    typed = "hemligt lösenord i fel fält"
    await refusal(people, typed, "", "")
    await people.sign_in.tell_refusals()

    rows = everything(people)
    assert [row for row in rows if isinstance(row, AttemptCounter)]
    for row in rows:
        for value in (getattr(row, field.name) for field in dataclasses.fields(row)):
            assert typed not in str(value)
            assert not (isinstance(value, bytes) and typed.encode() in value)


async def test_refusals_are_told_as_one_entry_a_minute(people: People) -> None:
    """H2: nobody who is not signed in can fill the log."""
    for guess in range(40):
        await refusal(people, f"finns.inte.{guess}", PASSWORD, "000000")
    assert [action for action, _, _ in await people.told()] == ["sign_in_failed"]

    people.clock.advance(MINUTE)
    await refusal(people, "finns.inte", PASSWORD, "000000")

    assert [action for action, _, _ in await people.told()] == ["sign_in_failed"] * 2


async def test_an_account_that_meets_a_delay_is_an_alarm_without_a_name(people: People) -> None:
    person = await people.person(LOGIN)
    for _ in range(5):
        await refusal(people, LOGIN, PASSWORD, "000000")
    await people.sign_in.tell_refusals()

    assert await people.alarms() == [("sign-in-delayed", person.user.id)]


# --- Argon2id lane ---------------------------------------------------------------------------------------------------


class SlowVault(QuickVault):
    """Notes how many passwords are being checked at once."""

    def __init__(self, keyring: Keyring) -> None:
        super().__init__(keyring.hierarchy, keyring.shred)
        self.lock = threading.Lock()
        self.running = self.most = 0

    def check_password(self, password: str, phc: bytes) -> bool:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.005)
        with self.lock:
            self.running -= 1
        return super().check_password(password, phc)


async def test_two_passwords_are_checked_at_a_time_and_beyond_the_queue_nobody_is_blamed() -> None:
    """Denial of service: memory is bounded, the answer is honest, and a full house counts against no account."""
    people = People(await a_world(), vault=SlowVault)
    assert isinstance(people.vault, SlowVault)
    crowd = ARGON2_AT_A_TIME + ARGON2_WAITING + 6

    results = await asyncio.gather(
        *(people.sign_in.sign_in(f"finns.inte.{turn}", PASSWORD, "000000") for turn in range(crowd)),
        return_exceptions=True,
    )

    assert people.vault.most == ARGON2_AT_A_TIME
    assert Counter(type(result) for result in results) == {SignInError: crowd - 6, TooManyAttemptsError: 6}
    assert len(people.store._rows(AttemptCounter)) == (crowd - 6) * len(METHODS)
    assert await refusal(people, "finns.inte.efteråt", PASSWORD, "000000")


def test_the_vault_hashes_with_the_parameters_of_the_rfc(people: People) -> None:
    """Argon2id, 19 MiB, t = 2, p = 1 (OWASP; RFC 9106)."""
    phc = KeyVault.hash_password(people.vault, PASSWORD).decode()
    assert phc.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
