"""Every setting of PromptOps, in one file, driven by the environment. docs/configuration.md describes each variable."""

from pathlib import Path
from typing import Any

import django_stubs_ext
import environ

from promptops import secrets

django_stubs_ext.monkeypatch()  # ModelAdmin[...], Manager[...] and the like can be subscripted at run time

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DATA_DIR = Path(env.str("PROMPTOPS_DATA_DIR", default="var"))
if not DATA_DIR.is_absolute():
    DATA_DIR = BASE_DIR / DATA_DIR
SECRETS_DIR = DATA_DIR / "secrets"
DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or secrets.read_or_create(SECRETS_DIR / "secret_key", nbytes=48)
#: Former values of SECRET_KEY, which go on reading what they wrote.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list("PROMPTOPS_ALLOWED_HOSTS", default=["*"])
CSRF_TRUSTED_ORIGINS = env.list("PROMPTOPS_TRUSTED_ORIGINS", default=[])

# --- PromptOps itself -------------------------------------------------------------------------------------------

#: The static admin token for scripts. There is no default value: without one in the environment, it is the one that
#: `manage.py quickstart` made, and without that there is none.
PROMPTOPS_TOKEN: str | None = env.str("PROMPTOPS_TOKEN", default="") or secrets.read(SECRETS_DIR / "token")
#: The path under which a proxy shows the server, such as `/promptops`; whether it takes it off or not.
PROMPTOPS_ROOT_PATH = env.str("PROMPTOPS_ROOT_PATH", default="").strip().rstrip("/")
FORCE_SCRIPT_NAME = PROMPTOPS_ROOT_PATH or None
PROMPTOPS_SESSION_HOURS = env.float("PROMPTOPS_SESSION_HOURS", default=12.0)
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
PROMPTOPS_TICK_SECONDS = env.float("PROMPTOPS_TICK_SECONDS", default=0.5)
#: Seconds for which fetches are served from memory while the database can't be reached; 0: not at all.
PROMPTOPS_SERVE_STALE_SECONDS = env.float("PROMPTOPS_SERVE_STALE_SECONDS", default=3600.0)
#: Origins whose pages may open the WebSocket; the server's own origin always may.
PROMPTOPS_WS_ORIGINS = env.list("PROMPTOPS_WS_ORIGINS", default=[])
#: `host:port` of the places that a `base_url` in a request may name.
PROMPTOPS_OUTBOUND_ALLOW = env.list("PROMPTOPS_OUTBOUND_ALLOW", default=[])
#: Requests that one process works on at once, beside the runs that are waited for.
PROMPTOPS_THREADS = env.int("PROMPTOPS_THREADS", default=128)
#: Runs that one process lets be waited for at once (playground, agents, workflows in the foreground, their streams): in
#: all, and for each user, token or the static token. Beyond them a run is answered 429.
PROMPTOPS_MAX_RUNS = env.int("PROMPTOPS_MAX_RUNS", default=192)
PROMPTOPS_MAX_RUNS_PER_TOKEN = env.int("PROMPTOPS_MAX_RUNS_PER_TOKEN", default=128)
#: Seconds between "not ready" and the end, after SIGTERM.
PROMPTOPS_DRAIN_SECONDS = env.float("PROMPTOPS_DRAIN_SECONDS", default=2.0)
#: Seconds for a call to a model provider in all, its repetitions included.
PROMPTOPS_PROVIDER_TIMEOUT = env.float("PROMPTOPS_PROVIDER_TIMEOUT", default=60.0)
#: How often a call is repeated that was answered 429 or 5xx, or not at all, with a growing pause or the provider's own.
PROMPTOPS_PROVIDER_RETRIES = env.int("PROMPTOPS_PROVIDER_RETRIES", default=2)
#: Seconds for a run of an agent in all: its calls of models, and of tools.
PROMPTOPS_AGENT_TIMEOUT = env.float("PROMPTOPS_AGENT_TIMEOUT", default=300.0)
#: Days after which a conversation with an agent is forgotten that nobody went on with.
PROMPTOPS_AGENT_SESSION_DAYS = env.int("PROMPTOPS_AGENT_SESSION_DAYS", default=30)
#: What is read of a provider's answer.
PROMPTOPS_MAX_ANSWER_BYTES = env.int("PROMPTOPS_MAX_ANSWER_BYTES", default=8 * 1024 * 1024)
#: Where background runs of workflows are worked on: `server`, in each server process, or `external`, in processes of
#: `manage.py worker` alone.
PROMPTOPS_WORKFLOW_WORKERS = env.str("PROMPTOPS_WORKFLOW_WORKERS", default="server")
#: Background runs that one process works on at once.
PROMPTOPS_WORKFLOW_CONCURRENCY = env.int("PROMPTOPS_WORKFLOW_CONCURRENCY", default=16)
#: Seconds after which a request's run goes on in the background.
PROMPTOPS_WORKFLOW_DEADLINE = env.float("PROMPTOPS_WORKFLOW_DEADLINE", default=30.0)
#: Seconds of the processor that a run's paths, conditions and schemas may take, all together.
PROMPTOPS_WORKFLOW_EXPRESSION_SECONDS = env.float("PROMPTOPS_WORKFLOW_EXPRESSION_SECONDS", default=5.0)
#: Days after which a run is given up, whatever it waits for.
PROMPTOPS_WORKFLOW_DAYS = env.float("PROMPTOPS_WORKFLOW_DAYS", default=30.0)
#: Hours that a run's texts are kept when it is over, where the workspace keeps no texts of runs.
PROMPTOPS_WORKFLOW_TEXT_HOURS = env.float("PROMPTOPS_WORKFLOW_TEXT_HOURS", default=24.0)

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
    "axes",
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
    "promptops.middleware.RequestGate",
    "django.middleware.security.SecurityMiddleware",
    "promptops.middleware.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "promptops.urls"
ASGI_APPLICATION = "promptops.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
FORMAT_MODULE_PATH = "promptops.formats"

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
    "default": env.db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'promptops.sqlite3'}")
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE: a write takes the lock when it begins, so that two writers wait in turn and never fail half-way.
    # synchronous=FULL: what was answered is on the disk, also after a power cut.
    # CONN_MAX_AGE: a request's thread keeps its connection for the next one.
    DATABASES["default"]["ENGINE"] = "promptops.sqlite3"  # within the process, writers stand in line
    DATABASES["default"]["CONN_MAX_AGE"] = None
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000;",
    }
else:
    DATABASES["default"]["ENGINE"] = "promptops.postgresql"  # requests let others work while they wait for it
    # A pool, since each request runs on a thread of its own: connections would otherwise be made anew every time.
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        {
            "pool": {"min_size": 1, "max_size": env.int("PROMPTOPS_DB_POOL", default=20), "timeout": 5},
            "connect_timeout": 3,
        }
    )
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# --- Channels ---------------------------------------------------------------------------------------------------

#: Only wake-ups go through the channel layer. The truth is in the database: a lost message costs a tick, not an update.
REDIS_URL: str = env.str("REDIS_URL", default="")
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
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["promptops.hashers.PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{PROMPTOPS_ROOT_PATH}/"  # other servers of the same host don't see them
SESSION_COOKIE_AGE = int(PROMPTOPS_SESSION_HOURS * 3600)

AXES_FAILURE_LIMIT = env.int("PROMPTOPS_LOGIN_FAILURES", default=5)
AXES_COOLOFF_TIME = env.float("PROMPTOPS_LOGIN_LOCKOUT_HOURS", default=0.25)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]  # nobody locks somebody else out from another address
AXES_USERNAME_CALLABLE = "promptops.views.locked_name"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True  # the audit log tells who logged in
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = True
AXES_LOCKOUT_CALLABLE = "promptops.views.locked_out"

# --- Security ---------------------------------------------------------------------------------------------------

if env.bool("PROMPTOPS_BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CORS_ALLOWED_ORIGINS = env.list("PROMPTOPS_CORS_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/api/.*$"
CORS_EXPOSE_HEADERS = ["ETag", "X-Request-ID", "X-PromptOps-Revision", "X-PromptOps-Stale", "Retry-After"]
DATA_UPLOAD_MAX_MEMORY_SIZE = PROMPTOPS_MAX_BODY_BYTES

# --- Static files: served by the process itself, nothing to collect first ------------------------------------------

STATIC_URL = f"{PROMPTOPS_ROOT_PATH}/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# --- The API ----------------------------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["governance.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["governance.permissions.HasCapability"],
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
        "RoleEnum": "governance.models.Role",
        "StatusEnum": "prompts.serializers.STATUSES",
        "WorkflowRunStateEnum": "workflows.models.RunState",
        "StepAttemptStateEnum": "workflows.models.AttemptState",
    },
    "SCHEMA_PATH_PREFIX": "/api/",
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "workflows.schema.add_components"],
}

# --- Logs: one line an event, on standard error, with the request's id and never a token --------------------------

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "governance.logs.AddRequestId"}},
    "formatters": {
        "line": {
            "()": "governance.logs.LineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request_id"]}},
    "root": {"handlers": ["stderr"], "level": env.str("PROMPTOPS_LOG_LEVEL", default="INFO")},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.request": {"level": "CRITICAL"},  # governance.api.exceptions reports what matters, once
        "django.server": {"handlers": [], "propagate": True},
        "uvicorn": {"handlers": [], "level": "INFO", "propagate": True},
        "uvicorn.access": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "openai": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
        "dbos": {"level": "WARNING"},
    },
}
