"""How passwords are hashed: by scrypt, which takes a tenth of a second in which other requests may work."""

from typing import Any

from django.contrib.auth.hashers import ScryptPasswordHasher

from governance import turns


class PasswordHasher(ScryptPasswordHasher):
    def encode(self, *args: Any, **options: Any) -> str:
        with turns.waiting():
            return super().encode(*args, **options)
