"""Prepares an installation so that it can be used at once. Can be run again at any time: it makes what is not there."""

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.identity import users
from governance.identity.models import User
from governance.tenancy.models import DEFAULT_WORKSPACE
from promptops import examples, secrets
from prompts.models import Prompt


class Credential(NamedTuple):
    """What to say of a secret: itself, once, when it is new; else where it is. `word` is how a shell finds it."""

    shown: str
    word: str


class Command(BaseCommand):
    help = "Migrate, create the first admin and a token, load example prompts, and print how to begin."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.PROMPTOPS_HOST)
        parser.add_argument("--port", default=settings.PROMPTOPS_PORT)

    def handle(self, *args: Any, **options: Any) -> None:
        username, chosen = self.wanted_admin()
        call_command("migrate", verbosity=0, interactive=False)
        token = self.token()
        username, password = self.first_admin(username, chosen)
        if not Prompt.objects.exists():
            examples.load(actor=SYSTEM)
        self.show(f"http://{options['host']}:{options['port']}", username, password, token)

    def wanted_admin(self) -> tuple[str, str]:
        """The first admin's name and password as the environment has them, white space around them left out."""
        username = os.environ.get("PROMPTOPS_ADMIN_USERNAME", "").strip() or "admin"
        password = os.environ.get("PROMPTOPS_ADMIN_PASSWORD", "").strip()
        user = User(username=username)
        try:
            User._meta.get_field("username").clean(username, user)
        except ValidationError as error:
            raise CommandError(f"PROMPTOPS_ADMIN_USERNAME: {error.messages[0]}") from None
        try:
            if password:
                validate_password(password, user)
        except ValidationError as error:
            raise CommandError(f"PROMPTOPS_ADMIN_PASSWORD: {error.messages[0]}") from None
        return username, password

    def token(self) -> Credential:
        path = settings.SECRETS_DIR / "token"
        if os.environ.get("PROMPTOPS_TOKEN", "").strip():
            return Credential("(as you set it in PROMPTOPS_TOKEN)", "'\"$PROMPTOPS_TOKEN\"'")
        is_new = secrets.read(path) is None
        made = secrets.read_or_create(path)
        return Credential(
            made if is_new else f"(in {_shown(path)})", made if is_new else f"'\"$(cat {_shown(path)})\"'"
        )

    def first_admin(self, username: str, chosen: str) -> tuple[str, str]:
        """The admin's name, and the password if it was made now, or where it is to be had."""
        path = settings.SECRETS_DIR / "admin_password"
        is_new = not User.objects.filter(role=Role.ADMIN).exists()
        if is_new:
            password = chosen or secrets.read_or_create(path, nbytes=12)
            users.create_user(actor=SYSTEM, username=username, password=password, role=Role.ADMIN)
        user = User.objects.filter(role=Role.ADMIN, is_active=True).order_by("created_at").first()
        if user is None:
            return username, "(shut out)"
        if chosen and user.check_password(chosen):
            return user.username, "(as you set it in PROMPTOPS_ADMIN_PASSWORD)"
        made = secrets.read(path)
        if made and user.check_password(made):
            return user.username, made if is_new else f"(in {_shown(path)})"
        return user.username, "(as you set it; `manage.py changepassword` makes a new one)"

    def show(self, url: str, username: str, password: str, token: Credential) -> None:
        prompt = Prompt.objects.filter(
            environment__workspace_id=DEFAULT_WORKSPACE, environment__name="prod", key=examples.SHOWN
        ).first()
        say = self.stdout.write
        say("")
        say(self.style.SUCCESS(f"PromptOps   {url}"))
        say(f"  admin     {url}/admin/   {username} / {password}")
        say(f"  API docs  {url}/api/docs")
        say(f"  token     {token.shown}")
        if prompt is None:
            say("")
            return
        bearer = f"-H 'Authorization: Bearer {token.word}'"
        say("\nFetch a prompt, as an application does:")
        say(f"  curl -s '{url}/api/sdk/prompts/{prompt.key}?env=prod' {bearer}")
        say("\nWatch what changes (leave it running, then publish in another terminal):")
        say(f"  {os.path.relpath(sys.executable)} manage.py watch --env prod --url {url}")
        say("\nEdit its draft and publish it:")
        json_header = "-H 'Content-Type: application/json'"
        body = """'{"content": "Hello {{name}}, it is '$(date +%H:%M:%S)'."}'"""
        say(f"  curl -s -X PUT {url}/api/prompts/{prompt.pk} {bearer} {json_header} -d {body} &&")
        say(f'  curl -s -X POST {url}/api/prompts/publish {bearer} {json_header} -d \'{{"id": "{prompt.pk}"}}\'')
        say("")


def _shown(path: Path) -> str:
    """A path as one types it: from where one is, if it is below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
