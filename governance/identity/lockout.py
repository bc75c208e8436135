"""Slows down guessing at passwords and tokens, over the API, `/ws`, `/metrics` and the admin.

Each wrong password is counted for the name at that address, for the address, for the name, and for all of them
together. Each of these has a number of tries, and regains one after another (a leaky bucket, stored as one time in one
row). When none is left, the answer says when to try again, and no password is checked until then.

Nobody can shut out somebody else: while a name is guessed at from everywhere, or there are very many failures in all,
each address has fewer tries, but never none. A right token is always accepted. Tokens are long and random, so it is
enough that wrong ones cost little, and an application with an old token doesn't block others at its address.
"""

import hashlib
import hmac
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from governance import audit
from governance.access.actors import ANONYMOUS, Actor
from governance.core.errors import TooManyAttemptsError
from governance.identity.addresses import network_of
from governance.identity.models import FailureKind, LoginFailures, User

#: Tries of an address where a name, or all of them, are under attack from everywhere: the right password, or a slip.
UNDER_ATTACK = 2

#: Rows beyond which those that would be forgotten first are forgotten now.
MOST_ROWS = 50_000

#: How often the table is looked through: at each so many failures.
SWEEP_EVERY = 100


@dataclass(frozen=True, slots=True)
class Bucket:
    """A leaky bucket: something that failures are counted for, and the number of its tries."""

    kind: FailureKind
    tries: int
    name: str = ""
    network: str = ""

    @property
    def digest(self) -> str:
        """Keyed, since an unknown name may be a password that was typed into the wrong field."""
        counted = "\0".join([self.kind, self.name, self.network])
        return hmac.new(
            settings.SECRET_KEY.encode(), counted.encode("utf-8", "surrogatepass"), hashlib.sha256
        ).hexdigest()

    @property
    def regained(self) -> timedelta:
        """The time until one try is regained."""
        return timedelta(hours=settings.PROMPTOPS_LOGIN_LOCKOUT_HOURS) / self.tries

    def wait(self, row: LoginFailures | None, now: datetime, tries: int | None = None) -> timedelta:
        """The time until the next try; zero if one is left."""
        if row is None:
            return timedelta(0)
        at_once = min(tries or self.tries, self.tries)
        return max(timedelta(0), row.forgotten_at - (at_once - 1) * self.regained - now)

    def charge(self, row: LoginFailures, now: datetime) -> None:
        if row.forgotten_at <= now:
            row.failures, row.started_at, row.forgotten_at = 0, now, now
        row.failures += 1
        row.forgotten_at = min(row.forgotten_at + self.regained, now + self.tries * self.regained)


#: Rows by their digests.
Rows = dict[str, LoginFailures]

NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class _Password:
    """What a wrong password is counted for."""

    name_here: Bucket
    here: Bucket
    name: Bucket
    all: Bucket

    @classmethod
    def of(cls, username: str, address: str) -> "_Password":
        name, network = username.casefold(), network_of(address)
        return cls(
            Bucket(FailureKind.NAME_AT_ADDRESS, settings.PROMPTOPS_LOGIN_FAILURES, name, network),
            Bucket(FailureKind.ADDRESS, settings.PROMPTOPS_LOGIN_FAILURES_PER_ADDRESS, network=network),
            Bucket(FailureKind.NAME, settings.PROMPTOPS_LOGIN_FAILURES_PER_NAME, name),
            Bucket(FailureKind.ALL, settings.PROMPTOPS_LOGIN_FAILURES_IN_ALL),
        )

    def buckets(self) -> list[Bucket]:
        return [self.name_here, self.here, self.name, self.all]

    def wait(self, rows: Rows, now: datetime) -> timedelta:
        name_here, here, name, all_ = (rows.get(bucket.digest) for bucket in self.buckets())
        attacked = self.all.wait(all_, now) or self.name.wait(name, now)
        fewer = UNDER_ATTACK if attacked else None
        return max(self.name_here.wait(name_here, now, fewer), self.here.wait(here, now))


def check_password_guess(username: str, address: str) -> None:
    """Raise TooManyAttemptsError where this name is not to be tried from this address now. One query."""
    guess, now = _Password.of(username, address), timezone.now()
    _refuse(guess.wait(_rows_of(guess.buckets()), now))


def wrong_password(username: str, address: str) -> None:
    """Count it for name and address; raise TooManyAttemptsError if that was the last try for now."""
    guess = _Password.of(username, address)
    user = User.objects.filter(username__iexact=username).only("username").first()
    known = user.username if user is not None else ""
    with transaction.atomic():
        now = timezone.now()
        before, rows = _charge(guess.buckets(), now, username=known, address=address)
        wait = guess.wait(rows, now)
        if not guess.all.wait(before.get(guess.all.digest), now):
            who = known or "an unknown name"
            _record(f"Wrong password of {who} from {address or 'an unknown address'}", known, wait)
            if guess.all.wait(rows[guess.all.digest], now):
                _record(f"{guess.all.tries} wrong passwords in a short time: further ones are not listed one by one")
    _refuse(wait)


def forget(username: str, address: str) -> None:
    """Forget the failures of this name at this address, after a right password. The address's others stay."""
    LoginFailures.objects.filter(pk=_Password.of(username, address).name_here.digest).delete()


def wrong_token(address: str) -> None:
    """Count it for the address; raise TooManyAttemptsError when there were too many of them."""
    here = Bucket(FailureKind.TOKENS, settings.PROMPTOPS_LOGIN_FAILURES_PER_ADDRESS, network=network_of(address))
    everywhere = Bucket(FailureKind.ALL_TOKENS, settings.PROMPTOPS_LOGIN_FAILURES_IN_ALL)

    def wait(rows: Rows) -> timedelta:
        return max(here.wait(rows.get(here.digest), now), everywhere.wait(rows.get(everywhere.digest), now))

    now = timezone.now()
    _refuse(wait(_rows_of([here, everywhere])))  # a read first: endless wrong tokens must not each cost a write
    with transaction.atomic():
        _, rows = _charge([here, everywhere], now, address=address)
        until = wait(rows)
        _record(f"Wrong token from {address or 'an unknown address'}", "", until)
    _refuse(until)


@transaction.atomic
def lift(*, actor: Actor, failures: LoginFailures) -> None:
    """Forget the failures of a name or an address, which may then try again at once."""
    audit.record(
        actor=actor,
        action="delete",
        resource="lockout",
        resource_id=failures.pk,
        key=failures.username,
        summary=f"Lifted the lock-out of {failures}",
        workspace_id=None,
        changes=audit.deleted(
            username=failures.username,
            address=failures.address,
            failures=failures.failures,
            until=failures.forgotten_at,
        ),
    )
    failures.delete()


def _refuse(wait: timedelta) -> None:
    if wait > NONE:
        seconds = math.ceil(wait / timedelta(seconds=1))
        raise TooManyAttemptsError(f"too many wrong credentials: try again in {seconds} seconds", retry_after=seconds)


def _rows_of(buckets: Iterable[Bucket]) -> Rows:
    return LoginFailures.objects.in_bulk([bucket.digest for bucket in buckets])


def _charge(buckets: list[Bucket], now: datetime, *, username: str = "", address: str) -> tuple[Rows, Rows]:
    """Count a failure for all of them, with their rows locked; returns the rows as they were, and as they are."""
    fresh = [
        LoginFailures(
            digest=bucket.digest,
            kind=bucket.kind,
            username=username if bucket.name else "",
            address=bucket.network,
            started_at=now,
            forgotten_at=now,
        )
        for bucket in buckets
    ]
    fresh.sort(key=lambda row: row.digest)  # locks are taken in one order
    # "Updated" where they are there: that takes their locks, so that none is swept out before it is counted.
    LoginFailures.objects.bulk_create(fresh, update_conflicts=True, unique_fields=["digest"], update_fields=["kind"])
    rows = LoginFailures.objects.select_for_update().order_by("digest").in_bulk([row.digest for row in fresh])
    before = {digest: _copy(row) for digest, row in rows.items()}
    for bucket in buckets:
        bucket.charge(rows[bucket.digest], now)
    LoginFailures.objects.bulk_update(rows.values(), ["failures", "started_at", "forgotten_at"])
    if rows[buckets[-1].digest].failures % SWEEP_EVERY == 0:
        _sweep(now)
    return before, rows


def _copy(row: LoginFailures) -> LoginFailures:
    return LoginFailures(digest=row.digest, kind=row.kind, started_at=row.started_at, forgotten_at=row.forgotten_at)


def _sweep(now: datetime) -> None:
    _delete(LoginFailures.objects.filter(forgotten_at__lte=now))
    of_one = LoginFailures.objects.exclude(kind__in=[FailureKind.ALL, FailureKind.ALL_TOKENS])
    newest = of_one.order_by("-forgotten_at", "digest").values_list("forgotten_at", flat=True)
    beyond = newest[MOST_ROWS : MOST_ROWS + 1].first()
    if beyond is not None:
        _delete(of_one.filter(forgotten_at__lte=beyond))


def _delete(rows: QuerySet[LoginFailures]) -> None:
    """Delete them, except rows that another transaction has locked: it may wait for locks of this one."""
    free = rows.select_for_update(skip_locked=True) if connection.vendor == "postgresql" else rows
    LoginFailures.objects.filter(pk__in=free.values("pk")).delete()


def _record(summary: str, username: str = "", wait: timedelta = NONE) -> None:
    """Write an audit entry. Guesses that are refused unchecked have none: the entry before them has the time."""
    more = f"; more are refused for {math.ceil(wait.total_seconds())} seconds" if wait else ""
    audit.record(
        actor=ANONYMOUS,
        action="login_failed",
        resource="session",
        resource_id="",
        key=username,
        summary=f"{summary}{more}",
        workspace_id=None,
    )
