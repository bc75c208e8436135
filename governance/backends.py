"""Names and passwords, the same for the API and the admin."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from governance import lockout
from governance.addresses import address_of
from governance.hashing import slots
from governance.models import User


class PasswordBackend(ModelBackend):
    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Who that is, if the password is right; PermissionDenied, which Django makes None of, if it is not.

        Raises TooManyAttemptsError where it is not to be tried now, BusyError where too many others are being tried. In
        the place where passwords are hashed both are found out: many guesses at once are then not more than a few.
        """
        if username is None or password is None:
            return None
        address = address_of(request)
        with slots.one():
            lockout.check_password_guess(username, address)
            user = super().authenticate(request, username=username, password=password)
            if not isinstance(user, User):
                lockout.wrong_password(username, address)
                raise PermissionDenied  # no other backend is asked: it would look at the password once more
        lockout.forget(username, address)
        return user
