"""Prompts by key, kept in memory and hot-reloaded: the Python client of PromptOps."""

from promptops_client._async import AsyncPromptOps
from promptops_client._errors import (
    CannotRender,
    ConfigurationError,
    EnvironmentNotFound,
    Forbidden,
    MissingVariables,
    NotReady,
    PromptNotFound,
    PromptOpsError,
    Unauthorized,
)
from promptops_client._models import Change, Prompt, Status
from promptops_client._rendering import Rendered
from promptops_client._sync import PromptOps
from promptops_client._wire import VERSION

__all__ = [
    "AsyncPromptOps",
    "CannotRender",
    "Change",
    "ConfigurationError",
    "EnvironmentNotFound",
    "Forbidden",
    "MissingVariables",
    "NotReady",
    "Prompt",
    "PromptNotFound",
    "PromptOps",
    "PromptOpsError",
    "Rendered",
    "Status",
    "Unauthorized",
    "__version__",
]

__version__ = VERSION
