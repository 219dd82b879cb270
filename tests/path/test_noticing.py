"""docs/channels.md §9: who is told by e-mail that something lies in an inbox, when, and with which words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import AuditAction
from gateway.consents import STOCKHOLM
from gateway.errors import InvalidFormError, NotFoundError
from gateway.model.base import DAY, HOUR, MINUTE, InboxId, Instant, MessageId, UserId
from gateway.model.notices import NoticeKind, NoticeMail, NoticeState
from gateway.model.path import Unfetched
from gateway.neighbours import Reason, Telling, Told
from gateway.notice_texts import Words, words
from gateway.notice_times import Choice, When, due_at
from gateway.sessions import Signed
from tests.clock import instant
from tests.county import SEAT_E, County, a_county

WORK, HOME = "ek-chef@region.example", "nagon@hemma.example"


@dataclass
class Box:
    """The far side: what was sent, and what it answers next."""

    domains: Collection[str] = ("region.example",)
    sent: list[tuple[str, str, Words]] = field(default_factory=list)
    says: list[Told] = field(default_factory=list)
    backs: list[str] = field(default_factory=list)  # what each would be called when it came back
    back: list[str] = field(default_factory=list)  # what came back

    def employers(self, address: str) -> bool:
        return address.rpartition("@")[2] in self.domains

    def takes(self, address: str) -> bool:
        return address.count("@") == 1 and " " not in address

    def returned(self) -> list[str]:
        return list(self.back)

    def settled(self, back: str) -> None:
        self.back.remove(back)

    async def send(self, identifier: str, address: str, words: Words, *, back: str) -> Told:
        self.backs.append(back)
        self.sent.append((identifier, address, words))
        return self.says.pop(0) if self.says else Told(Telling.IN_TRANSIT)


@dataclass
class Noticed:
    county: County
    box: Box

    async def chosen(self, login: str, **changes: object) -> Signed:
        signed = await self.county.sign_in(login)
        choice = Choice(**{"when": When.ONCE, "address": WORK, "quiet_from": 0, "quiet_to": 0, **changes})  # type: ignore[arg-type]
        await self.county.gateway.notice_choices.choose(signed, choice)
        return signed

    async def arrived(self) -> MessageId:
        worker = await self.county.sign_in("al-sos")
        case, _ = await self.county.consented_case(worker)
        message = (await self.county.send_referral(worker, case.id, (SEAT_E,))).message
        await self.county.deliver()
        return message

    async def turn(self, unfetched: Collection[Unfetched] = ()) -> list[str]:
        """One round of the worker; the addresses that were written to."""
        before = len(self.box.sent)
        await self.county.gateway.noticing.run_once(list(unfetched))
        return [address for _, address, _ in self.box.sent[before:]]

    async def mail(self, login: str) -> NoticeMail:
        user = await self.county.store.user_by_login(login)
        assert user is not None
        found = await self.county.store.get(NoticeMail, SEAT_E, user.id)
        assert found is not None
        return found


@pytest.fixture
async def noticed() -> AsyncIterator[Noticed]:
    async with a_county() as county:
        box = Box()
        county.gateway.noticing.connect(box, place="https://sambud.example")
        yield Noticed(county, box)


@pytest.mark.slow
async def test_a_member_who_chose_it_is_told_once_and_without_content(noticed: Noticed) -> None:
    """§9(1): inbox, administration and where to sign in; nothing of the case."""
    await noticed.chosen("ek-chef")
    await noticed.arrived()
    assert await noticed.turn() == [WORK]
    assert await noticed.turn() == []
    [(_, _, said)] = noticed.box.sent
    directory = await noticed.county.gateway.directory.current()
    assert directory.inbox(SEAT_E).name in said.text
    assert "https://sambud.example" in said.text
    origin = noticed.county.gateway.auditor.origin(noticed.county.clock.now())
    sides = await noticed.county.store.sides(origin, 0, await noticed.county.store.log_size(origin))
    assert [side.object for side in sides if side.action == AuditAction.NOTIFIED] == [SEAT_E]


@pytest.mark.slow
async def test_who_chose_nothing_or_is_no_member_is_told_nothing(noticed: Noticed) -> None:
    await noticed.chosen("no-chef")  # of the other seat
    await noticed.arrived()
    assert await noticed.turn() == []


@pytest.mark.slow
async def test_whatever_comes_in_an_hour_is_one_mail(noticed: Noticed) -> None:
    """§9(3): one for an inbox and window, not one for a message."""
    await noticed.chosen("ek-chef")
    for _ in range(3):
        await noticed.arrived()
    assert await noticed.turn() == [WORK]
    await noticed.arrived()
    assert await noticed.turn() == []
    noticed.county.clock.advance(HOUR)
    assert await noticed.turn() == [WORK]
    noticed.county.clock.advance(HOUR)
    assert await noticed.turn() == []


@pytest.mark.slow
async def test_a_private_address_reads_the_organisations_name_alone(noticed: Noticed) -> None:
    await noticed.chosen("ek-chef", address=HOME)
    await noticed.arrived()
    assert await noticed.turn() == [HOME]
    [(_, _, said)] = noticed.box.sent
    directory = await noticed.county.gateway.directory.current()
    inbox = directory.inbox(SEAT_E)
    administration = directory.administrations[inbox.administration]
    assert directory.organisations[administration.organisation].name in said.text
    for told in (inbox.name, administration.name, "https://", "sambud.example"):
        assert told not in said.subject + said.text


@pytest.mark.slow
async def test_who_is_away_is_told_nothing_and_the_deputy_is(noticed: Noticed) -> None:
    """§9(2): also when the deputy wants no notices of their own; but not when there is no address."""
    deputy = await noticed.chosen("ek-sam", when=When.OFF, address="ek-sam@region.example")
    await noticed.chosen("ek-chef", away_from="2026-03-01", away_to="2026-03-03", deputy=deputy.user.id)
    await noticed.arrived()
    assert await noticed.turn() == ["ek-sam@region.example"]
    noticed.county.clock.advance(3 * DAY)
    await noticed.arrived()
    assert await noticed.turn() == [WORK]


@pytest.mark.slow
async def test_who_ceased_to_be_a_member_before_it_went_is_told_nothing(noticed: Noticed) -> None:
    """§9(2): checked when it goes, not only when it was queued."""
    chief = await noticed.chosen("ek-chef", quiet_from=8 * 60, quiet_to=12 * 60)
    await noticed.arrived()
    assert await noticed.turn() == []  # quiet
    other = await noticed.county.sign_in("ek-sam")
    inbox = (await noticed.county.gateway.directory.current()).inbox(SEAT_E)
    await noticed.county.gateway.members.remove(inbox, chief.user.id, by=other.user)
    noticed.county.clock.advance(6 * HOUR)
    assert await noticed.turn() == []
    assert (await noticed.mail("ek-chef")).state is NoticeState.SENT


@pytest.mark.slow
async def test_a_delayed_mail_is_tried_again_as_the_same_and_a_refused_one_is_shown(noticed: Noticed) -> None:
    """§9(4)."""
    chief = await noticed.chosen("ek-chef")
    await noticed.arrived()
    noticed.box.says = [Told(Telling.DELAYED, Reason.UNREACHABLE), Told(Telling.REFUSED, Reason.NOT_FOUND)]
    assert await noticed.turn() == [WORK]
    noticed.county.clock.advance(20 * MINUTE)
    assert await noticed.turn() == [WORK]
    assert len({identifier for identifier, _, _ in noticed.box.sent}) == 1
    assert (await noticed.mail("ek-chef")).state is NoticeState.FAILED
    assert (await noticed.county.gateway.notice_choices.mine(chief)).failed


@pytest.mark.slow
async def test_a_worker_that_ends_after_sending_sends_the_same_mail_again(noticed: Noticed) -> None:
    await noticed.chosen("ek-chef")
    await noticed.arrived()

    class Ends(Exception):
        pass

    async def send(identifier: str, address: str, words: Words, *, back: str) -> Told:
        noticed.box.sent.append((identifier, address, words))
        raise Ends

    real, noticed.box.send = noticed.box.send, send  # type: ignore[method-assign]
    with pytest.raises(Ends):
        await noticed.turn()
    noticed.box.send = real  # type: ignore[method-assign]
    assert await noticed.turn() == []  # it may be with another worker
    noticed.county.clock.advance(6 * MINUTE)
    assert await noticed.turn() == [WORK]
    assert len({identifier for identifier, _, _ in noticed.box.sent}) == 1


@pytest.mark.slow
async def test_that_nobody_fetches_an_inbox_is_told_once_a_day_and_waits_for_no_summary(noticed: Noticed) -> None:
    """§9(3): the summary is not waited for."""
    await noticed.chosen("ek-chef", when=When.DIGEST, digest_at=23 * 60)
    lying = [Unfetched(SEAT_E, 1, Instant(0))]
    assert await noticed.turn(lying) == [WORK]
    noticed.county.clock.advance(2 * HOUR)
    assert await noticed.turn(lying) == []
    noticed.county.clock.advance(DAY)
    assert await noticed.turn(lying) == [WORK]
    assert "ligger något" in noticed.box.sent[-1][2].text


@pytest.mark.slow
async def test_what_waited_when_notices_began_is_no_news(noticed: Noticed) -> None:
    await noticed.chosen("ek-chef")
    await noticed.arrived()
    noticed.county.clock.advance(2 * DAY)
    assert await noticed.turn() == []
    assert await noticed.county.store.notices_waiting(SEAT_E, limit=10) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"address": ""},
        {"address": "ingen adress"},
        {"away_from": "2026-03-01"},
        {"away_from": "i morgon", "away_to": "2026-03-01"},
        {"away_from": "2026-03-05", "away_to": "2026-03-01"},
        {"deputy": UserId("nobody")},
    ],
    ids=str,
)
async def test_a_choice_that_cannot_be_kept_is_told_with_every_fault(
    noticed: Noticed, changes: dict[str, object]
) -> None:
    with pytest.raises(InvalidFormError):
        await noticed.chosen("ek-chef", **changes)
    signed = await noticed.county.sign_in("ek-chef")
    assert (await noticed.county.gateway.notice_choices.mine(signed)).choice == Choice()


@pytest.mark.slow
async def test_a_gateway_that_sends_no_notices_takes_no_choices() -> None:
    async with a_county() as county:
        signed = await county.sign_in("ek-chef")
        assert not county.gateway.notice_choices.offered
        with pytest.raises(NotFoundError):
            await county.gateway.notice_choices.choose(signed, Choice(when=When.ONCE, address=WORK))
        assert await county.gateway.noticing.run_once() == 0


# --- what comes back ----------------------------------------------------------------------------------------------------


async def _bounces(noticed: Noticed, times: int) -> None:
    """Something arrives, a notice goes, and its bounce comes."""
    for _ in range(times):
        await noticed.arrived()
        noticed.county.clock.advance(HOUR)
        assert await noticed.turn() == [WORK]
        noticed.box.back.append(noticed.box.backs[-1])
        await noticed.turn()
        assert noticed.box.back == []  # counted, and asked about no more


@pytest.mark.slow
async def test_a_notice_that_comes_back_is_a_failed_one_and_after_three_nothing_goes_there(noticed: Noticed) -> None:
    """§9(4): its owner reads so; saved anew, notices begin again."""
    chief = await noticed.chosen("ek-chef")
    await _bounces(noticed, 1)
    shown = await noticed.county.gateway.notice_choices.mine(chief)
    assert (shown.failed, shown.stopped) == (True, False)
    assert (await noticed.mail("ek-chef")).state is NoticeState.FAILED
    await _bounces(noticed, 2)
    assert (await noticed.county.gateway.notice_choices.mine(await noticed.county.sign_in("ek-chef"))).stopped
    await noticed.arrived()
    noticed.county.clock.advance(DAY)
    assert await noticed.turn() == []

    await noticed.chosen("ek-chef")
    await noticed.arrived()
    noticed.county.clock.advance(HOUR)
    assert await noticed.turn() == [WORK]


@pytest.mark.slow
async def test_a_bounce_of_what_was_sent_before_an_address_was_saved_anew_counts_against_nothing(
    noticed: Noticed,
) -> None:
    await noticed.chosen("ek-chef")
    await noticed.arrived()
    assert await noticed.turn() == [WORK]
    noticed.county.clock.advance(MINUTE)
    chief = await noticed.chosen("ek-chef", address=HOME)
    noticed.box.back += [noticed.box.backs[-1], "5e2c9d1e-0000-4000-8000-000000000000"]
    await noticed.turn()
    assert noticed.box.back == []
    shown = await noticed.county.gateway.notice_choices.mine(chief)
    assert (shown.choice.returned, shown.failed) == (0, False)


@pytest.mark.slow
async def test_an_address_that_servers_refuse_as_unknown_is_stopped_as_well(noticed: Noticed) -> None:
    chief = await noticed.chosen("ek-chef")
    noticed.box.says += [Told(Telling.REFUSED, Reason.NOT_FOUND)] * 3
    for _ in range(3):
        await noticed.arrived()
        noticed.county.clock.advance(2 * HOUR)
        assert await noticed.turn() == [WORK]
    chief = await noticed.county.sign_in("ek-chef")
    assert (await noticed.county.gateway.notice_choices.mine(chief)).stopped


# --- when -------------------------------------------------------------------------------------------------------------

MOMENTS = st.integers(instant(2026, 1, 1), instant(2027, 12, 31)).map(Instant)
CHOICES = st.builds(
    Choice,
    when=st.sampled_from([When.ONCE, When.DIGEST]),
    digest_at=st.integers(0, 23).map(lambda hour: hour * 60),
    quiet_from=st.integers(0, 23).map(lambda hour: hour * 60),
    quiet_to=st.integers(0, 23).map(lambda hour: hour * 60),
    weekends=st.booleans(),
)


@given(CHOICES, MOMENTS, st.integers(0, 3 * DAY), st.booleans())
def test_a_notice_never_goes_in_quiet_hours_nor_twice_in_an_hour_nor_never(
    choice: Choice, now: Instant, ago: int, urgent: bool
) -> None:
    """§9(3), in the clock time of Sweden, summer and winter and the days between."""
    last = Instant(now - ago)
    due = due_at(choice, now, last, urgent=urgent)
    local = datetime.fromtimestamp(due / 1_000_000, UTC).astimezone(STOCKHOLM)
    assert now <= due <= now + 5 * DAY
    assert due - last >= HOUR
    minute = local.hour * 60 + local.minute
    if choice.quiet_from < choice.quiet_to:
        assert not choice.quiet_from <= minute < choice.quiet_to
    elif choice.quiet_from > choice.quiet_to:
        assert choice.quiet_to <= minute < choice.quiet_from
    assert choice.weekends or local.weekday() < 5


@pytest.mark.parametrize(
    ("choice", "now", "due"),
    [
        (Choice(when=When.ONCE), instant(2026, 3, 2, 8), instant(2026, 3, 2, 8)),  # Monday, nine in the morning
        (Choice(when=When.ONCE), instant(2026, 3, 2, 20), instant(2026, 3, 3, 7)),  # in the evening: at eight next day
        (Choice(when=When.ONCE), instant(2026, 3, 6, 20), instant(2026, 3, 9, 7)),  # on Friday evening: on Monday
        (Choice(when=When.ONCE, weekends=True), instant(2026, 3, 6, 20), instant(2026, 3, 7, 7)),
        (Choice(when=When.DIGEST, digest_at=9 * 60), instant(2026, 3, 2, 9), instant(2026, 3, 3, 8)),
        (
            Choice(when=When.ONCE),
            instant(2026, 3, 27, 20),
            instant(2026, 3, 30, 6),
        ),  # over the night that loses an hour
        (Choice(when=When.ONCE), instant(2026, 10, 23, 20), instant(2026, 10, 26, 7)),  # and the one that has it twice
    ],
)
def test_quiet_hours_summaries_and_weekends_by_the_clock_of_sweden(choice: Choice, now: Instant, due: Instant) -> None:
    assert due_at(choice, now, Instant(0)) == due


@given(st.sampled_from(NoticeKind), st.sampled_from(["sv", "en", "xx"]), st.text(max_size=30), st.text(max_size=30))
def test_a_private_notice_has_no_room_for_an_inbox(kind: NoticeKind, language: str, inbox: str, place: str) -> None:
    """The words are those of the organisation, whatever else is called."""
    said = words(
        kind,
        language=language,
        inbox=f"<{inbox}>",
        administration="Nämnden",
        organisation="Kommunen",
        place=f"https://{place}",
        private=True,
    )
    assert f"<{inbox}>" not in said.text
    assert "https://" not in said.text
    assert "Kommunen" in said.text


def test_every_kind_of_notice_has_words_in_both_languages() -> None:
    for kind in NoticeKind:
        told = {
            words(
                kind,
                language=language,
                inbox="Inkorgen",
                administration="Nämnden",
                organisation="Kommunen",
                place="",
                private=False,
            ).text
            for language in ("sv", "en")
        }
        assert len(told) == 2
        assert all("Inkorgen" in text for text in told)


def test_an_inbox_id_is_no_part_of_what_is_said() -> None:
    assert (
        InboxId(SEAT_E)
        not in words(
            NoticeKind.ARRIVED,
            language="sv",
            inbox="Inkorgen",
            administration="Nämnden",
            organisation="Kommunen",
            place="https://sambud.example",
            private=False,
        ).text
    )
