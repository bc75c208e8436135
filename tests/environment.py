"""Loaded before Django's settings (`-p tests.environment`): what the tests' server is told, and which database it has.

`PROMPTOPS_TEST_DATABASE=postgres` runs the suite on a real PostgreSQL from a wheel, started here once for all workers;
a `postgresql://` address there, of a role that may create databases, on that server.
"""

import atexit
import os
import secrets
import shutil
import tempfile

STATIC_TOKEN_VARIABLE = "PROMPTOPS_TOKEN"


def _prepare() -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # the controller did it, and its environment is ours
    folder = tempfile.mkdtemp(prefix="promptops-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in ("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DEBUG"):
        os.environ.pop(name, None)
    os.environ["PROMPTOPS_DATA_DIR"] = folder
    os.environ["SECRET_KEY"] = secrets.token_urlsafe(40)
    os.environ[STATIC_TOKEN_VARIABLE] = secrets.token_urlsafe(32)
    database = os.environ.get("PROMPTOPS_TEST_DATABASE", "")
    if database == "postgres":
        from tests.postgres import start

        database = start(folder)
    if database:
        os.environ["DATABASE_URL"] = database


_prepare()
