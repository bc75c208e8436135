"""Every setting of PromptOps, in one file, driven by the environment. docs/configuration.md describes each variable."""

import re
from pathlib import Path
from typing import Any

import django_stubs_ext

from promptops import environment, secrets

django_stubs_ext.monkeypatch()  # ModelAdmin[...], Manager[...] and the like can be subscripted at run time

BASE_DIR = Path(__file__).resolve().parent.parent
#: Each variable is read with its type and bounds. What means nothing ends the process, at the end of this file.
env = environment.Environment()

DATA_DIR = Path(env.str("PROMPTOPS_DATA_DIR", default="var"))
if not DATA_DIR.is_absolute():
    DATA_DIR = BASE_DIR / DATA_DIR
SECRETS_DIR = DATA_DIR / "secrets"
secrets.protect(DATA_DIR)

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.secret("SECRET_KEY") or secrets.read_or_create(SECRETS_DIR / "secret_key", nbytes=48)
#: Former values of SECRET_KEY, which go on reading what they wrote. A weak one may be among them: else it could not be
#: replaced.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
#: Where people find this installation: its hosts, origins and cookies follow from it. See "Security" below.
PUBLIC_URL = env.site("PROMPTOPS_PUBLIC_URL")
ALLOWED_HOSTS = env.list(
    "PROMPTOPS_ALLOWED_HOSTS",
    default=[str(PUBLIC_URL.hostname)] if PUBLIC_URL else ["*"],
    each=environment.host,
    expected="host names without scheme and port, separated by commas, such as prompts.example.com,.example.org",
)
ORIGINS = "origins separated by commas, such as https://prompts.example.com"
CSRF_TRUSTED_ORIGINS = env.list("PROMPTOPS_TRUSTED_ORIGINS", default=[], each=environment.origin, expected=ORIGINS)
if PUBLIC_URL:
    CSRF_TRUSTED_ORIGINS.append(PUBLIC_URL.geturl())
#: Where `serve` listens, unless it is told otherwise.
PROMPTOPS_HOST = env.str("PROMPTOPS_HOST", default="127.0.0.1")
PROMPTOPS_PORT = env.int("PROMPTOPS_PORT", default=8000, most=65535)
#: Addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed. uvicorn puts what they
#: say into the request before any code of ours sees it; all of it that looks at a client's address looks there.
PROMPTOPS_TRUSTED_PROXIES = env.proxies("PROMPTOPS_TRUSTED_PROXIES", default="127.0.0.0/8,::1")

# --- PromptOps itself -------------------------------------------------------------------------------------------

#: The static admin token for scripts. There is no default value: without one in the environment, it is the one that
#: `manage.py quickstart` made, and without that there is none.
PROMPTOPS_TOKEN: str | None = env.token("PROMPTOPS_TOKEN") or secrets.read(SECRETS_DIR / "token")
#: The path under which a proxy shows the server, such as `/promptops`; whether it takes it off or not.
PROMPTOPS_ROOT_PATH = env.str("PROMPTOPS_ROOT_PATH").rstrip("/")
FORCE_SCRIPT_NAME = PROMPTOPS_ROOT_PATH or None
PROMPTOPS_SESSION_HOURS = env.float("PROMPTOPS_SESSION_HOURS", default=12.0, least=0.01, most=24 * 366)
PROMPTOPS_MAX_BODY_BYTES = env.int("PROMPTOPS_MAX_BODY_BYTES", default=1024 * 1024)
#: Bytes and lines of a request's head; seconds for it to come, for the body after it, and for a client that takes
#: nothing of its answer; seconds that an idle connection is kept for the next request.
PROMPTOPS_MAX_HEAD_BYTES = env.int("PROMPTOPS_MAX_HEAD_BYTES", default=64 * 1024)
PROMPTOPS_MAX_HEADERS = env.int("PROMPTOPS_MAX_HEADERS", default=100)
PROMPTOPS_HEAD_SECONDS = env.float("PROMPTOPS_HEAD_SECONDS", default=10.0)
PROMPTOPS_BODY_SECONDS = env.float("PROMPTOPS_BODY_SECONDS", default=60.0)
PROMPTOPS_WRITE_SECONDS = env.float("PROMPTOPS_WRITE_SECONDS", default=60.0)
PROMPTOPS_KEEPALIVE_SECONDS = env.int("PROMPTOPS_KEEPALIVE_SECONDS", default=5)
PROMPTOPS_MAX_CONTENT_BYTES = env.int("PROMPTOPS_MAX_CONTENT_BYTES", default=256 * 1024)
PROMPTOPS_MAX_JSON_DEPTH = env.int("PROMPTOPS_MAX_JSON_DEPTH", default=64)
#: Changes kept for each environment; a client that was away for longer than that gets a snapshot.
PROMPTOPS_CHANGES_KEPT = env.int("PROMPTOPS_CHANGES_KEPT", default=10_000)
#: Seconds between two looks of the tail at the database, with or without a wake-up.
PROMPTOPS_TICK_SECONDS = env.float("PROMPTOPS_TICK_SECONDS", default=0.5, least=0.01, most=1)
#: Seconds for which fetches are served from memory while the database can't be reached; 0: not at all.
PROMPTOPS_SERVE_STALE_SECONDS = env.float("PROMPTOPS_SERVE_STALE_SECONDS", default=3600.0, least=0)
#: Origins whose pages may open the WebSocket; the server's own origin always may.
PROMPTOPS_WS_ORIGINS = env.list(
    "PROMPTOPS_WS_ORIGINS", default=[], each=environment.origin_or_all, expected=f"* or {ORIGINS}"
)
#: `host:port` of the places that a `base_url` in a request may name.
PROMPTOPS_OUTBOUND_ALLOW = env.list(
    "PROMPTOPS_OUTBOUND_ALLOW",
    default=[],
    each=environment.host_and_port,
    expected="host:port, separated by commas, such as 127.0.0.1:11434",
)
#: Requests that one process works on at once, beside the runs that are waited for.
PROMPTOPS_THREADS = env.int("PROMPTOPS_THREADS", default=128, most=10_000)
#: Runs that one process lets be waited for at once (playground, agents, workflows in the foreground, their streams): in
#: all, and for each user, token or the static token. Beyond them a run is answered 429.
PROMPTOPS_MAX_RUNS = env.int("PROMPTOPS_MAX_RUNS", default=192, most=10_000)
PROMPTOPS_MAX_RUNS_PER_TOKEN = env.int("PROMPTOPS_MAX_RUNS_PER_TOKEN", default=128)
#: Seconds between "not ready" and the end, after SIGTERM.
PROMPTOPS_DRAIN_SECONDS = env.float("PROMPTOPS_DRAIN_SECONDS", default=2.0, least=0, most=3600)
#: Seconds for a call to a model provider in all, its repetitions included.
PROMPTOPS_PROVIDER_TIMEOUT = env.float("PROMPTOPS_PROVIDER_TIMEOUT", default=60.0)
#: How often a call is repeated that was answered 429 or 5xx, or not at all, with a growing pause or the provider's own.
PROMPTOPS_PROVIDER_RETRIES = env.int("PROMPTOPS_PROVIDER_RETRIES", default=2, least=0, most=100)
#: Seconds for a run of an agent in all: its calls of models, and of tools.
PROMPTOPS_AGENT_TIMEOUT = env.float("PROMPTOPS_AGENT_TIMEOUT", default=300.0)
#: Days after which a conversation with an agent is forgotten that nobody went on with.
PROMPTOPS_AGENT_SESSION_DAYS = env.int("PROMPTOPS_AGENT_SESSION_DAYS", default=30, most=36_500)
#: What is read of a provider's answer.
PROMPTOPS_MAX_ANSWER_BYTES = env.int("PROMPTOPS_MAX_ANSWER_BYTES", default=8 * 1024 * 1024)
#: Where background runs of workflows are worked on: `server`, in each server process, or `external`, in processes of
#: `manage.py worker` alone.
PROMPTOPS_WORKFLOW_WORKERS = env.choice("PROMPTOPS_WORKFLOW_WORKERS", default="server", choices=["server", "external"])
#: Background runs that one process works on at once.
PROMPTOPS_WORKFLOW_CONCURRENCY = env.int("PROMPTOPS_WORKFLOW_CONCURRENCY", default=16, most=10_000)
#: Seconds after which a request's run goes on in the background.
PROMPTOPS_WORKFLOW_DEADLINE = env.float("PROMPTOPS_WORKFLOW_DEADLINE", default=30.0)
#: Seconds of the processor that a run's paths, conditions and schemas may take, all together.
PROMPTOPS_WORKFLOW_EXPRESSION_SECONDS = env.float("PROMPTOPS_WORKFLOW_EXPRESSION_SECONDS", default=5.0)
#: Days after which a run is given up, whatever it waits for.
PROMPTOPS_WORKFLOW_DAYS = env.float("PROMPTOPS_WORKFLOW_DAYS", default=30.0, most=36_500)
#: Hours that a run's texts are kept when it is over, where the workspace keeps no texts of runs.
PROMPTOPS_WORKFLOW_TEXT_HOURS = env.float("PROMPTOPS_WORKFLOW_TEXT_HOURS", default=24.0, least=0, most=876_000)

# --- Streams ----------------------------------------------------------------------------------------------------

#: Sockets and streams of events that are open in one process, in all and for one credential.
PROMPTOPS_MAX_SOCKETS = env.int("PROMPTOPS_MAX_SOCKETS", default=20_000)
PROMPTOPS_MAX_SOCKETS_PER_TOKEN = env.int("PROMPTOPS_MAX_SOCKETS_PER_TOKEN", default=12_000)

# --- Django -----------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "daphne",  # before staticfiles: gives `runserver` its ASGI
    "promptops.apps.PromptOpsConfig",  # before the admin: some of its templates stand in for the admin's own
    "promptops.apps.PromptOpsAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "corsheaders",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "governance",
    "prompts",
    "agents",
    "workflows",
]

MIDDLEWARE = [
    "promptops.server.middleware.RequestGate",
    "promptops.server.middleware.KnownProxy",
    "django.middleware.security.SecurityMiddleware",
    "promptops.server.middleware.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "promptops.server.middleware.Refusals",
]

ROOT_URLCONF = "promptops.urls"
ASGI_APPLICATION = "promptops.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
FORMAT_MODULE_PATH = "promptops.site.formats"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Databases --------------------------------------------------------------------------------------------------

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.database("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'promptops.sqlite3'}")
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    secrets.protect(DATA_DIR, Path(DATABASES["default"]["NAME"]))
    # IMMEDIATE: a write takes the lock when it begins, so that two writers wait in turn and never fail half-way.
    # synchronous=FULL: what was answered is on the disk, also after a power cut.
    # CONN_MAX_AGE: a request's thread keeps its connection for the next one.
    DATABASES["default"]["ENGINE"] = "promptops.db.sqlite3"  # within the process, writers stand in line
    DATABASES["default"]["CONN_MAX_AGE"] = None
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000;",
    }
else:
    DATABASES["default"]["ENGINE"] = "promptops.db.postgresql"  # requests let others work while they wait for it
    # A pool, since each request runs on a thread of its own: connections would otherwise be made anew every time.
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        {
            "pool": {"min_size": 1, "max_size": env.int("PROMPTOPS_DB_POOL", default=20, most=10_000), "timeout": 5},
            "connect_timeout": 3,
        }
    )
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# --- Channels ---------------------------------------------------------------------------------------------------

#: Only wake-ups go through the channel layer. The truth is in the database: a lost message costs a tick, not an update.
REDIS_URL: str = env.redis("REDIS_URL")
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL]},
    }
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}

# --- Who is there -----------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "governance.User"
# The second is asked for no password: sessions name it that were opened before the first was there.
AUTHENTICATION_BACKENDS = ["governance.backends.PasswordBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["governance.identity.credentials.hashing.PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{PROMPTOPS_ROOT_PATH}/"  # other servers of the same host don't see them
SESSION_COOKIE_AGE = int(PROMPTOPS_SESSION_HOURS * 3600)

SESSION_ENGINE = "governance.identity.credentials.admin_sessions"  # the database has a digest of each key
MESSAGE_STORAGE = "governance.admin.messages.Storage"  # some hold a new secret, which no cookie must

#: Wrong credentials after which more are slowed down: of a name from an address (IPv6: a /64), of anything from an
#: address, of a name from everywhere, and in all. One try is regained each PROMPTOPS_LOGIN_LOCKOUT_HOURS / number.
PROMPTOPS_LOGIN_FAILURES = env.int("PROMPTOPS_LOGIN_FAILURES", default=5)
PROMPTOPS_LOGIN_FAILURES_PER_ADDRESS = env.int("PROMPTOPS_LOGIN_FAILURES_PER_ADDRESS", default=20)
PROMPTOPS_LOGIN_FAILURES_PER_NAME = env.int("PROMPTOPS_LOGIN_FAILURES_PER_NAME", default=50)
PROMPTOPS_LOGIN_FAILURES_IN_ALL = env.int("PROMPTOPS_LOGIN_FAILURES_IN_ALL", default=500)
PROMPTOPS_LOGIN_LOCKOUT_HOURS = env.float("PROMPTOPS_LOGIN_LOCKOUT_HOURS", default=0.25, most=24 * 366)

# --- Security ---------------------------------------------------------------------------------------------------

if env.bool("PROMPTOPS_BEHIND_TLS_PROXY", default=False) or (PUBLIC_URL and PUBLIC_URL.scheme == "https"):
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
if PUBLIC_URL and PUBLIC_URL.scheme == "https":
    SECURE_HSTS_SECONDS = env.int("PROMPTOPS_HSTS_SECONDS", default=30 * 24 * 3600, least=0)
    SECURE_SSL_REDIRECT = True
    # Probes come from the inside. A client of the API that speaks http has sent its token already: a redirect would
    # hide that, and turn a POST into a GET.
    _ROOT = re.escape(f"{PROMPTOPS_ROOT_PATH}/".lstrip("/"))  # Django compares whole paths, without the first slash
    SECURE_REDIRECT_EXEMPT = [rf"^{_ROOT}(?:livez|readyz|health|metrics)$", rf"^{_ROOT}api/"]
#: Whether all subdomains are https only, and are put on browsers' lists, is not for one of their servers to say.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CORS_ALLOWED_ORIGINS = env.list("PROMPTOPS_CORS_ORIGINS", default=[], each=environment.origin, expected=ORIGINS)
CORS_URLS_REGEX = r"^/api/.*$"
CORS_EXPOSE_HEADERS = ["ETag", "X-Request-ID", "X-PromptOps-Revision", "X-PromptOps-Stale", "Retry-After"]
DATA_UPLOAD_MAX_MEMORY_SIZE = PROMPTOPS_MAX_BODY_BYTES

# --- Static files: served by the process itself, nothing to collect first ------------------------------------------

STATIC_URL = f"{PROMPTOPS_ROOT_PATH}/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# --- The API ----------------------------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["governance.identity.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["governance.access.permissions.HasCapability"],
    "DEFAULT_PARSER_CLASSES": ["governance.api.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["governance.api.rendering.ApiJSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "governance.api.rendering.AlwaysJSON",
    "DEFAULT_PAGINATION_CLASS": "governance.api.pagination.LimitOffset",
    "DEFAULT_FILTER_BACKENDS": ["governance.api.filtering.FilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "governance.api.schema.ApiSchema",
    "EXCEPTION_HANDLER": "governance.api.exceptions.handle",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
    "COERCE_DECIMAL_TO_STRING": False,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "PromptOps API",
    "VERSION": "1",
    "DESCRIPTION": "The runtime platform for AI prompts, agents and workflows.",
    "SERVERS": [{"url": PROMPTOPS_ROOT_PATH}] if PROMPTOPS_ROOT_PATH else [],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": True, "displayRequestDuration": True},
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "RoleEnum": "governance.access.roles.Role",
        "StatusEnum": "prompts.serializers.STATUSES",
        "WorkflowRunStateEnum": "workflows.models.RunState",
        "StepAttemptStateEnum": "workflows.models.AttemptState",
    },
    "SCHEMA_PATH_PREFIX": "/api/",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "workflows.definition.schema.add_components",
    ],
}

# --- Logs: one line an event, on standard error, with the request's id and never a token --------------------------

LOG_LEVEL = env.choice("PROMPTOPS_LOG_LEVEL", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "governance.core.logs.AddRequestId"}},
    "formatters": {
        "line": {
            "()": "governance.core.logs.LineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request_id"]}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.request": {"level": "CRITICAL"},  # governance.api.exceptions reports what matters, once
        "django.server": {"handlers": [], "propagate": True},
        "uvicorn": {"handlers": [], "level": "INFO", "propagate": True},
        "uvicorn.access": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "openai": {"level": "WARNING"},
        "dbos": {"level": "WARNING"},
    },
}

env.base_urls()
env.refuse_what_means_nothing()
