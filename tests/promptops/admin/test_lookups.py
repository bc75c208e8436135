"""Lists are filtered by what they offer. Any other lookup in an address is refused before the database hears of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import CharField, Model, TextField
from django.urls import reverse

from governance.access.roles import Role
from tests.promptops.admin.browser import Browser

Browse = Callable[..., Browser]
EVIL = r"(a+)+$"
LOOKUPS = ["regex", "iregex", "contains", "icontains", "startswith", "in", "range", "gt", "lte", "search", "year__gt"]
DEEP = [
    "user__password__startswith",
    "workspace__users__password__startswith",
    "environment__workspace__tokens__digest__startswith",
    "agent__tools__icontains",
    "run__content__prompt__regex",
    "memberships__user__password__regex",
    "pk__in",
    "id__in",
    "nosuchfield",
    "nosuchfield__regex",
]


@pytest.fixture
def browser(browse: Browse, world: Any) -> Browser:
    return browse(Role.ADMIN)


def lists() -> Iterator[tuple[type[Model], Any, str]]:
    for model, model_admin in admin.site._registry.items():
        yield model, model_admin, reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def test_no_list_takes_a_lookup_that_it_does_not_offer(browser: Browser) -> None:
    request: Any = browser.client.get("/admin/").wsgi_request
    for model, model_admin, address in lists():
        names = [f"{field.name}__{lookup}" for field in model._meta.concrete_fields for lookup in LOOKUPS]
        allowed = [lookup for lookup in [*names, *DEEP] if model_admin.lookup_allowed(lookup, EVIL, request)]
        offered = [name for name in allowed if not name.endswith(("__gte", "__lt"))]
        assert offered == [], address
        texts = [field.name for field in model._meta.concrete_fields if isinstance(field, CharField | TextField)]
        for lookup in [*(f"{name}__regex" for name in texts[-2:]), "user__password__startswith"]:
            assert browser.client.get(address, {lookup: EVIL}).status_code in {302, 400}, (address, lookup)


def test_no_list_fails_by_values_that_nobody_would_choose(browser: Browser) -> None:
    huge, times = "9" * 400, ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31", "inf"]
    anywhere: list[dict[str, Any]] = [
        *({"p": page} for page in ("0", "-1", huge, "x", "1e9")),
        *({"o": order} for order in ("1.2.-3", "-", huge, "x.y", "--1", "password")),
        *({name: "1"} for name in ("all", "e", "_facets", "_popup")),
        *({"_to_field": name} for name in ("password", "digest")),
        {"q": "\ud7ff\uffff" * 50},
        {"since": times[0], "until": times[1]},
    ]
    for number, (_, model_admin, address) in enumerate(lists()):
        queries = anywhere if number % 8 == 0 else []
        if hierarchy := model_admin.date_hierarchy:
            queries = [
                *queries,
                *({f"{hierarchy}__year": year} for year in ("0", "1", "9999", "10000", "-5", huge, "x")),
            ]
            queries += [
                {f"{hierarchy}__year": "2026", f"{hierarchy}__month": "2", f"{hierarchy}__day": "31"},
                {f"{hierarchy}__month": "99"},
            ]
        for item in model_admin.list_filter:
            simple = isinstance(item, type) and issubclass(item, SimpleListFilter)
            path = item.parameter_name if simple else item if isinstance(item, str) else item[0]
            queries = [*queries, {path: "\uffff"}, {f"{path}__isnull": "x"}, {f"{path}__exact": huge}]
            queries += [{f"{path}__gte": moment} for moment in times] if path.endswith("_time") else []
        for query in queries:
            assert browser.client.get(address, query).status_code in {200, 302, 400}, (address, query)


def test_what_a_list_offers_it_takes(browser: Browser) -> None:
    """Each link that the page of a list has, the ones of its filters and of its days among them."""
    followed = 0
    for _, _, address in lists():
        page = browser.client.get(address)
        links = {link.partition('"')[0].replace("&amp;", "&") for link in page.content.decode().split('href="?')[1:]}
        for link in sorted(links):
            answer = browser.client.get(f"{address}?{link}")
            assert answer.status_code == 200, (address, link)
            followed += 1
    assert followed > 60


def test_a_workflows_page_links_to_its_runs(browser: Browser) -> None:
    from workflows.models import Workflow

    flow = Workflow.objects.first()
    assert flow is not None
    address = reverse("admin:workflows_workflowrun_changelist")
    assert browser.client.get(address, {"workflow_id": str(flow.pk)}).status_code == 200
    assert browser.client.get(address, {"workflow_id": "x"}).status_code in {302, 400}
