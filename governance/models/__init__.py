from governance.models.access import AccessRevision
from governance.models.audit import AuditEntry
from governance.models.base import Entity, Versioned
from governance.models.change import Change
from governance.models.connection import Connection, ServerProcess
from governance.models.identity import Membership, Role, User
from governance.models.run import Run, RunStatus
from governance.models.token import Token, TokenKind
from governance.models.workspace import DEFAULT_WORKSPACE, Environment, Workspace

__all__ = [
    "DEFAULT_WORKSPACE",
    "AccessRevision",
    "AuditEntry",
    "Change",
    "Connection",
    "Entity",
    "Environment",
    "Membership",
    "Role",
    "Run",
    "RunStatus",
    "ServerProcess",
    "Token",
    "TokenKind",
    "User",
    "Versioned",
    "Workspace",
]
