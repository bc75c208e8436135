"""Authentication by name and password, the same for the API and the admin.

Sessions of the back office name this module in their rows, so it stays where it is.
"""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from governance.identity import lockout
from governance.identity.addresses import address_of
from governance.identity.credentials.hashing import slots
from governance.identity.models import User


class PasswordBackend(ModelBackend):
    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The user, if the password is right. Raises PermissionDenied if not, which Django turns into None.

        Raises TooManyAttemptsError after too many wrong passwords, BusyError when too many logins wait. The number of
        wrong passwords is read while a slot for hashing is held, so that guesses sent at once are counted one by one.
        """
        if username is None or password is None:
            return None
        address = address_of(request)
        with slots.one():
            lockout.check_password_guess(username, address)
            user = super().authenticate(request, username=username, password=password)
            if not isinstance(user, User):
                lockout.wrong_password(username, address)
                raise PermissionDenied  # no other backend is asked: it would hash the password again
        lockout.forget(username, address)
        return user
