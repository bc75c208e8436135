"""An asyncio application that always answers with the latest prompt.

Against `make run`:
PROMPTOPS_BASE_URL=http://127.0.0.1:8000 PROMPTOPS_API_KEY=<token> python asyncio_app.py greeting 60
"""

import asyncio
import sys

from promptops_client import AsyncPromptOps


async def main(key: str, visitors: int) -> None:
    async with AsyncPromptOps(app="example asyncio_app.py") as prompts:
        for number in range(visitors):
            text = await prompts.render(key, {"name": f"visitor {number}"}, fallback="Hello {{name}}!")
            print(f"{prompts.status().state:>10}  {text}")
            await asyncio.sleep(1)


key, visitors = sys.argv[1:] or ["greeting", "10"]
asyncio.run(main(key, int(visitors)))
