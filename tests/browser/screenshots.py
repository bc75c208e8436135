"""Makes the pictures in docs/screenshots: `make screenshots`."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright
from promptops_client import PromptOps

from tests.browser.conftest import CHROMIUM
from tests.browser.support import SWITCHES, Person
from tests.servers import ROOT, TOKEN, Server, running

FOLDER = ROOT / "docs" / "screenshots"
SIZE: ViewportSize = {"width": 1240, "height": 760}
PHONE: ViewportSize = {"width": 390, "height": 844}
LARGEST = 150_000  # bytes


def pages(ids: dict[str, str]) -> dict[str, str]:
    """Name of the picture -> address."""
    prompt, rolled = (f"/admin/prompts/prompt/{ids[key]}" for key in ("support.reply", "search.rewrite"))
    return {
        "home": "/admin/",
        "prompts": "/admin/prompts/prompt/",
        "prompt": f"{prompt}/change/",
        "publish": f"{prompt}/publish/",
        "versions": f"{prompt}/versions/",
        "rollout": f"{rolled}/rollout/",
        "runs": "/admin/governance/run/",
        "statistics": "/admin/governance/run/stats/?window=week",
        "clients": "/admin/governance/connection/",
        "audit": "/admin/governance/auditentry/",
        "playground": "/admin/playground/",
        "tokens": "/admin/governance/token/",
        "workflow": f"/admin/workflows/workflow/{ids['workflow']}/change/",
        "workflow-run": f"/admin/workflows/workflowrun/{ids['run']}/change/",
        "agent": f"/admin/agents/agent/{ids['agent']}/change/",
    }


def shoot(page: Page, name: str, address: str) -> None:
    answer = page.goto(address)
    assert answer is not None
    assert answer.ok, f"{address}: {answer.status}"
    page.wait_for_load_state("networkidle")
    if name.startswith("prompt") and not name.startswith("prompts"):
        page.get_by_label("company.name").fill("Acme")
        page.get_by_label("language", exact=True).fill("English")
        page.wait_for_timeout(600)
    if name.startswith("workflow") and "run" not in name:
        page.locator(".card-toggle").first.click()
        page.locator("#builder").scroll_into_view_if_needed()
        page.evaluate("document.getElementById('builder').scrollIntoView()")
    target, size = FOLDER / f"{name}.png", page.viewport_size or {"width": 0, "height": 0}
    for share in (1.0, 0.9, 0.8, 0.7, 0.6):  # of the height: long lists are shown as far as the picture stays small
        page.screenshot(path=target, clip={"x": 0, "y": 0, **size, "height": size["height"] * share})
        if target.stat().st_size < LARGEST:
            return
    raise AssertionError(f"{target.name} has {target.stat().st_size:,} bytes")


def follow(server: Server, folder: Path) -> list[PromptOps]:
    """Some applications that are connected."""
    clients = []
    for app, env in (("shop", "prod"), ("support-bot", "prod"), ("shop", "dev")):
        client = PromptOps(server.url, TOKEN, env=env, app=app, cache_dir=folder / f"{app}-{env}")
        client.get_prompt("support.reply", fallback="")
        clients.append(client)
    time.sleep(3)  # until they are registered
    return clients


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, running(Path(place)) as server, sync_playwright() as playwright:
        command = [sys.executable, "-m", "tests.browser.showcase"]
        subprocess.run(command, cwd=ROOT, env=server.environment, check=True)
        with server.client() as client:
            listed = client.get("/api/prompts", params={"env": "prod"}).json()["data"]
            workflow = client.get("/api/workflows").json()["data"][0]["id"]
            body = {"variables": {"name": "Ada", "amount": "€ 40"}}
            run = client.post(f"/api/workflows/{workflow}/run", json=body).json()["run_id"]
            agent = client.get("/api/agents").json()["data"][0]["id"]
            ids = {prompt["key"]: prompt["id"] for prompt in listed} | {
                "workflow": workflow,
                "run": run,
                "agent": agent,
            }
        clients = follow(server, Path(place))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        cookies = Person("mira").log_in(server)
        for scheme, viewport, chosen in (
            ("light", SIZE, None),
            ("dark", SIZE, None),
            ("phone", PHONE, {"home", "prompt", "prompts"}),
        ):
            context = browser.new_context(
                base_url=server.url, viewport=viewport, color_scheme="dark" if scheme == "dark" else "light"
            )
            context.add_cookies(cookies)  # type: ignore[arg-type]  # as dictionaries
            page = context.new_page()
            for name, address in pages(ids).items():
                if chosen is None or name in chosen:
                    shoot(page, f"{name}-{scheme}" if scheme != "light" else name, address)
            context.close()
        browser.close()
        for follower in clients:
            follower.close()


if __name__ == "__main__":
    main()
