"""Who acts: every service takes an Actor, whether the call comes from the API, the admin or a command."""

import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from governance.access.roles import Role

ActorKind = Literal["session", "api", "static", "admin", "system", "anonymous"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A user, a token or the system: a role, and the bounds of what it may see.

    `name` is its name in the audit log. `workspace_id` is set for API tokens, which see that workspace only;
    `environment` narrows one down to a single environment of it.
    """

    name: str
    role: Role
    kind: ActorKind
    user_id: uuid.UUID | None = None
    token_id: uuid.UUID | None = None
    token_name: str = ""
    workspace_id: str | None = None
    environment: str | None = None
    expires_at: datetime | None = None
    session_key: str | None = field(default=None, repr=False)  # of the back office

    is_authenticated = True  # what DRF asks of `request.user`

    @property
    def sees_all(self) -> bool:
        """Admins see every workspace, except API tokens, which are bound to one whatever their role."""
        return self.role is Role.ADMIN and self.workspace_id is None

    @property
    def identity(self) -> str:
        """Identifies this actor among all others, whatever their names are.

        It is made of kind and id, so that a new token with the name of a deleted one owns nothing that the deleted one
        owned. A person has the same identity over the API and in the admin.
        """
        if self.user_id is not None:
            return f"user:{self.user_id}"
        return f"token:{self.token_id}" if self.token_id is not None else self.kind

    @property
    def credential(self) -> str:
        """Names the credential. Open connections are indexed by it, and end when it is no longer valid."""
        if self.token_id:
            return f"token:{self.token_id}"
        return f"session:{self.session_key}" if self.session_key else self.kind

    def within(self, workspace_id: str, environment: str) -> "Actor":
        """The same actor, limited to that environment."""
        return replace(self, workspace_id=workspace_id, environment=environment)

    @classmethod
    def of_user(cls, user: Any, *, session_key: str | None = None) -> "Actor":
        """The actor of a user in the Django admin."""
        return cls(name=user.username, role=Role(user.role), kind="admin", user_id=user.pk, session_key=session_key)


#: The installation itself: quickstart, migrations, sweeps.
SYSTEM = Actor(name="system", role=Role.ADMIN, kind="system")

#: Whoever sent no credential, or an invalid one. Only the audit log names this actor.
ANONYMOUS = Actor(name="anonymous", role=Role.VIEWER, kind="anonymous")
