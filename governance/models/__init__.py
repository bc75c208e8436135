from governance.models.access import AccessRevision
from governance.models.audit import AuditEntry
from governance.models.base import Entity, Versioned
from governance.models.change import Change
from governance.models.connection import Connection, ServerProcess
from governance.models.identity import Membership, Role, User
from governance.models.log_count import LogCount
from governance.models.login_failures import FailureKind, LoginFailures
from governance.models.run import BUCKETS, Grain, Run, RunContent, RunFeedback, RunStatus, RunTally
from governance.models.token import Token, TokenKind
from governance.models.workspace import DEFAULT_WORKSPACE, Environment, Workspace

__all__ = [
    "BUCKETS",
    "DEFAULT_WORKSPACE",
    "AccessRevision",
    "AuditEntry",
    "Change",
    "Connection",
    "Entity",
    "Environment",
    "FailureKind",
    "Grain",
    "LogCount",
    "LoginFailures",
    "Membership",
    "Role",
    "Run",
    "RunContent",
    "RunFeedback",
    "RunStatus",
    "RunTally",
    "ServerProcess",
    "Token",
    "TokenKind",
    "User",
    "Versioned",
    "Workspace",
]
