"""The operations on a workflow, a page each: it shows what would change, and does it when that is confirmed."""

import json
from typing import Any

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
        return _download(document, workflow.key, as_json=request.GET.get("format") == "json")

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Make the workflow that a document is of, or make its draft what the document says."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ImportForm(request.POST or None, request.FILES or None, request=request)
        if form.is_valid() and (row := self._imported(request, form)):
            return HttpResponseRedirect(self.page_of(row.pk))
        context = {"form": form, "back": reverse("admin:workflows_workflow_changelist")}
        return self.show(request, "workflows/admin/import.html", "Import a workflow", None, context)

    def _imported(self, request: HttpRequest, form: ImportForm) -> Workflow | None:
        """The workflow that was imported; None when it was refused, which the form then shows."""
        values, workspace = form.values, form.cleaned_data["workspace"]
        try:
            row, is_new = services.import_workflow(actor=actor_of(request), workspace=workspace, **values)
        except REFUSALS as error:
            form.add_error(None, as_refusal(error).message)
            return None
        sentence = f"Imported {row.key}{'' if is_new else ': its draft is what the document says'}."
        self.message_user(request, sentence, messages.SUCCESS)
        return row


def _download(document: dict[str, Any], key: str, *, as_json: bool) -> HttpResponse:
    """The document as a file, named by the workflow's key, which has no quotes in it."""
    if as_json:
        text, kind, suffix = json.dumps(document, indent=2, ensure_ascii=False), "application/json", "json"
    else:
        text, kind, suffix = documents.to_yaml(document), "text/yaml; charset=utf-8", "yaml"
    disposition = f'attachment; filename="{key}.{suffix}"'
    return HttpResponse(text, content_type=kind, headers={"Content-Disposition": disposition})
