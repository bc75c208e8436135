"""The addresses of the pages in the back office that are no model's."""

from django.contrib import admin
from django.urls import path

from agents.playground import pages

view = admin.site.admin_view

urlpatterns = [
    path("playground/", view(pages.page), name="playground"),
    path("playground/run/", view(pages.run), name="playground_run"),
    path("playground/prompts/", view(pages.prompts), name="playground_prompts"),
    path("playground/prompts/<uuid:prompt_id>/", view(pages.prompt), name="playground_prompt"),
    path("playground/prompts/<uuid:prompt_id>/version/", view(pages.version), name="playground_version"),
    path("playground/prompts/<uuid:prompt_id>/save/", view(pages.save), name="playground_save"),
]
