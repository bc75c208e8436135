"""Workspaces and environments."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view

from governance.api.serializers import OkSerializer
from governance.api.viewsets import ResourceViewSet
from governance.tenancy import environments, workspaces
from governance.tenancy.filters import InWorkspaceFilter
from governance.tenancy.models import Environment, Workspace
from governance.tenancy.serializers import EnvironmentSerializer, HoldsErrorSerializer, WorkspaceSerializer

DELETE: Any = extend_schema_view(destroy=extend_schema(responses={200: OkSerializer, 409: HoldsErrorSerializer}))


@DELETE
class WorkspaceViewSet(ResourceViewSet[Workspace]):
    resource = "workspace"
    capabilities = {"create": "create", "destroy": "delete"}
    queryset = Workspace.objects.all()
    serializer_class = WorkspaceSerializer
    lookup_value_converter = "str"

    def perform_create(self, values: dict[str, Any]) -> Workspace:
        return workspaces.create_workspace(actor=self.actor, **values)

    def perform_update(self, row: Workspace, values: dict[str, Any], if_match: str | None) -> Workspace:
        return workspaces.update_workspace(actor=self.actor, workspace=row, **values)

    def perform_destroy(self, row: Workspace, if_match: str | None) -> None:
        workspaces.delete_workspace(actor=self.actor, workspace=row)


@DELETE
class EnvironmentViewSet(ResourceViewSet[Environment]):
    resource = "environment"
    queryset = Environment.objects.all()
    serializer_class = EnvironmentSerializer
    filterset_class = InWorkspaceFilter

    def perform_create(self, values: dict[str, Any]) -> Environment:
        workspace = workspaces.resolve(self.actor, values.pop("workspace_id", None))
        return environments.create_environment(actor=self.actor, workspace=workspace, **values)

    def perform_update(self, row: Environment, values: dict[str, Any], if_match: str | None) -> Environment:
        workspaces.refuse_move(row.workspace_id, values.pop("workspace_id", None))
        return environments.update_environment(actor=self.actor, environment=row, **values)

    def perform_destroy(self, row: Environment, if_match: str | None) -> None:
        environments.delete_environment(actor=self.actor, environment=row)
