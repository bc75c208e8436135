"""Prepares an installation so that it can be used at once. Can be run again at any time: it makes what is not there."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from governance.actors import SYSTEM
from governance.models import DEFAULT_WORKSPACE, Role, User
from governance.services import users
from promptops import examples, secrets
from prompts.models import Prompt


class Command(BaseCommand):
    help = "Migrate, create the first admin and a token, load example prompts, and print how to begin."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=os.environ.get("PROMPTOPS_HOST", "127.0.0.1"))
        parser.add_argument("--port", default=os.environ.get("PROMPTOPS_PORT", "8000"))

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        token = settings.PROMPTOPS_TOKEN or secrets.read_or_create(settings.SECRETS_DIR / "token")
        username, password = self.first_admin()
        if not Prompt.objects.exists():
            examples.load(actor=SYSTEM)
        self.tell(f"http://{options['host']}:{options['port']}", username, password, token)

    def first_admin(self) -> tuple[str, str]:
        """The admin's name, and the password or where it is to be had."""
        kept = settings.SECRETS_DIR / "admin_password"
        username = os.environ.get("PROMPTOPS_ADMIN_USERNAME", "admin")
        given = os.environ.get("PROMPTOPS_ADMIN_PASSWORD")
        if not User.objects.filter(role=Role.ADMIN).exists():
            password = given or secrets.read_or_create(kept, nbytes=12)
            users.create_user(actor=SYSTEM, username=username, password=password, role=Role.ADMIN)
        user = User.objects.filter(role=Role.ADMIN, is_active=True).order_by("created_at").first()
        if user is None:
            return username, "(shut out)"
        password = given or secrets.read(kept) or ""
        if password and user.check_password(password):
            return user.username, password
        return user.username, "(as you set it; `manage.py changepassword` makes a new one)"

    def tell(self, url: str, username: str, password: str, token: str) -> None:
        prompt = Prompt.objects.filter(
            environment__workspace_id=DEFAULT_WORKSPACE, environment__name="prod", key=examples.SHOWN
        ).first()
        say = self.stdout.write
        say("")
        say(self.style.SUCCESS(f"PromptOps   {url}"))
        say(f"  admin     {url}/admin/   {username} / {password}")
        say(f"  API docs  {url}/api/docs")
        say(f"  token     {token}")
        if prompt is None:
            say("")
            return
        bearer = f"-H 'Authorization: Bearer {token}'"
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
