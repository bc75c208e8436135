"""What is done to a workflow, a page each: every one shows what it would change, and does it when that is confirmed."""

import json
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from governance.actors import Actor
from governance.admin.base import REFUSALS, ServiceAdmin, actor_of, as_refusal
from workflows import documents, services
from workflows.admin.forms import ImportForm, PublishForm, RollbackForm
from workflows.admin.versions import State, compare
from workflows.models import DEFINITION_FIELDS, Workflow

VERSIONS_A_PAGE = 50


class WorkflowOperations(ServiceAdmin[Workflow]):
    """The part of the workflows' admin that has a page for each operation."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("import/", view(self.import_view), name="workflows_workflow_import"),
            self.operation_url("publish", self.publish_view),
            self.operation_url("rollback", self.rollback_view),
            self.operation_url("versions", self.versions_view),
            self.operation_url("export", self.export_view),
            *super().get_urls(),
        ]

    def publish_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, workflow: Workflow, form: PublishForm) -> str:
            version = services.publish(actor=actor, workflow=workflow, if_match=form.seen, **form.values)
            return f"Published {workflow.key} {version.label}."

        return self.operate(
            request,
            object_id,
            title="Publish",
            form_class=PublishForm,
            perform=perform,
            button="Publish",
            note="Makes a version of the draft as it is now, and makes it live: runs that begin from now on take it.",
            template="workflows/admin/publish.html",
            facts=lambda workflow, form: {"live": workflow.live, "difference": compare(workflow.live, workflow)},
        )

    def rollback_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def perform(actor: Actor, workflow: Workflow, form: RollbackForm) -> str:
            done = services.rollback(actor=actor, workflow=workflow, if_match=form.seen, **form.values)
            return f"Rolled {done.key} back to {done.version}."

        def facts(workflow: Workflow, form: RollbackForm) -> dict[str, Any]:
            target = workflow.versions.filter(label=form["version"].value() or "").first()
            if target is None:
                return {}
            return {"target": target, "live": workflow.live, "difference": compare(workflow.live, target)}

        return self.operate(
            request,
            object_id,
            title="Roll back",
            form_class=RollbackForm,
            perform=perform,
            button="Roll back",
            template="workflows/admin/rollback.html",
            facts=facts,
        )

    def versions_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Every version, and the diff of the two that the address names (`a`, `b`; `draft` is the draft)."""
        workflow = self.seen(request, object_id)
        if workflow is None:
            return self._missing(request, object_id)
        page = Paginator(workflow.versions.defer(*DEFINITION_FIELDS), VERSIONS_A_PAGE).get_page(request.GET.get("p"))
        labels = [version.label for version in page]
        chosen = [request.GET.get(name) or "".join(labels[place : place + 1]) for place, name in ((1, "a"), (0, "b"))]
        old, new = (self._state(workflow, name) for name in chosen)
        context = {
            "page": page,
            "old": old,
            "new": new,
            "difference": compare(old, new) if old and new else None,
            "may_change": self.has_change_permission(request, workflow),
        }
        return self.show(request, "workflows/admin/versions.html", "Versions", workflow, context)

    def export_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The draft, or the version that the address names, as a document. Secrets are not in it."""
        workflow = self.seen(request, object_id)
        state = self._state(workflow, request.GET.get("version", "draft")) if workflow else None
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

    # --- what they share ----------------------------------------------------------------------------------------

    def seen(self, request: HttpRequest, object_id: str) -> Workflow | None:
        """The row, if there is one that this person may see. Raises PermissionDenied for who may see none."""
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def show(
        self, request: HttpRequest, template: str, title: str, workflow: Workflow | None, context: dict[str, Any]
    ) -> TemplateResponse:
        """A page of our own, of one workflow or of none."""
        about = {"subtitle": str(workflow), "back": self.page_of(workflow.pk)} if workflow else {}
        whole = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "original": workflow,
            "media": self.media,
            **about,
            **context,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, template, whole)

    def _state(self, workflow: Workflow, name: str) -> State | None:
        return workflow if name == "draft" else workflow.versions.filter(label=name).first()
