"""An asyncio application that always answers with the latest prompt.

Against `make run`: PROMPTOPS_BASE_URL=http://127.0.0.1:8000 PROMPTOPS_API_KEY=<token> python asyncio_app.py
"""

import asyncio

from promptops_client import AsyncPromptOps


async def main() -> None:
    async with AsyncPromptOps(app="example asyncio_app.py") as prompts:
        for second in range(10):
            text = await prompts.render("greeting", {"name": f"visitor {second}"}, fallback="Hello {{name}}!")
            print(f"{prompts.status().state:>10}  {text}")
            await asyncio.sleep(1)


asyncio.run(main())
