"""Print what changes, until you press Enter. Publish something meanwhile; restart the server, too.

Against `make run`: PROMPTOPS_BASE_URL=http://127.0.0.1:8000 PROMPTOPS_API_KEY=<token> python watch.py
"""

from promptops_client import Change, PromptOps


def show(change: Change) -> None:
    print(f"{change.revision} {change.type} {change.env}/{change.key} {change.version}")
    print(f"  {change.prompt.content[:100] if change.prompt else 'not served any more'}")


with PromptOps(app="example watch.py") as prompts:
    prompts.watch(show)
    input("watching; Enter ends it\n")
    print(prompts.status())
