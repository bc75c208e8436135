"""What is done to a workflow, a page each: every one shows what it would change, and does it when that is confirmed."""

import json

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from governance.admin.base import REFUSALS, actor_of, as_refusal
from governance.admin.versioned import VersionedAdmin
from workflows import services
from workflows.admin.forms import ImportForm, PublishWorkflowForm, RollbackWorkflowForm
from workflows.admin.versions import compare
from workflows.definition import documents
from workflows.models import DEFINITION_FIELDS, Workflow


class WorkflowOperations(VersionedAdmin[Workflow]):
    """The part of the workflows' admin that has a page for each operation."""

    services = services
    compare = staticmethod(compare)
    templates = "workflows/admin"
    bulky = tuple(DEFINITION_FIELDS)
    publish_form = PublishWorkflowForm
    rollback_form = RollbackWorkflowForm
    publish_note = "Makes a version of the draft as it is now, and makes it live: runs that begin from now on take it."

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("import/", view(self.import_view), name="workflows_workflow_import"),
            self.operation_url("export", self.export_view),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The draft, or the version that the address names, as a document. Secrets are not in it."""
        workflow = self.seen(request, object_id)
        state = self.state_named(workflow, request.GET.get("version", "draft")) if workflow else None
        if workflow is None or state is None:
            return self._missing(request, object_id)
        document = documents.document_of(workflow, state.definition)
        if request.GET.get("format") == "json":
            response = HttpResponse(json.dumps(document, indent=2, ensure_ascii=False), content_type="application/json")
            name = f"{workflow.key}.json"
        else:
            response = HttpResponse(documents.to_yaml(document), content_type="text/yaml; charset=utf-8")
            name = f"{workflow.key}.yaml"
        response["Content-Disposition"] = f'attachment; filename="{name}"'  # a key has no quotes in it
        return response

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Make the workflow that a document is of, or make its draft what the document says."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ImportForm(request.POST or None, request.FILES or None, request=request)
        if form.is_valid():
            values, workspace = form.values, form.cleaned_data["workspace"]
            try:
                row, new = services.import_workflow(actor=actor_of(request), workspace=workspace, **values)
            except REFUSALS as error:
                form.add_error(None, as_refusal(error).message)
            else:
                said = f"Imported {row.key}{'' if new else ': its draft is what the document says'}."
                self.message_user(request, said, messages.SUCCESS)
                return HttpResponseRedirect(self.page_of(row.pk))
        context = {"form": form, "back": reverse("admin:workflows_workflow_changelist")}
        return self.show(request, "workflows/admin/import.html", "Import a workflow", None, context)
