from governance.access.models import AccessRevision
from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.changes.models import Change
from governance.clients.models import Connection
from governance.core.models import Entity, ServerProcess, Versioned
from governance.history.models import LogCount
from governance.identity.models import FailureKind, LoginFailures, Token, TokenKind, User
from governance.runs.models import BUCKETS, Grain, Run, RunContent, RunFeedback, RunStatus, RunTally
from governance.tenancy.models import DEFAULT_WORKSPACE, Environment, Membership, Workspace

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
