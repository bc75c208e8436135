"""How many calls a second one core makes: `python sdk/python/benchmark.py`, with no server at all.

The client starts from a copy on disk, so these are the figures of an application whose server is gone.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from promptops_client import PromptOps
from promptops_client._cache import disk

URL, KEY = "http://127.0.0.1:9", "benchmark"
FILLER = "You are a careful assistant. " * 20
CONTENT = "".join(f"{FILLER[:80]} {{{{ name_{n} }}}}" for n in range(5))
VARIABLES = {f"name_{n}": f"value {n}" for n in range(5)}


def per_second(function: Callable[[], Any], seconds: float = 1.0) -> float:
    """The best of three rounds."""
    best = 0.0
    for _ in range(3):
        calls, started = 0, time.process_time()
        while (taken := time.process_time() - started) < seconds:
            for _ in range(1000):
                function()
            calls += 1000
        best = max(best, calls / taken)
    return best


def document(key: str, version: str, **more: Any) -> dict[str, Any]:
    plain = {"key": key, "version": version, "env": "prod", "model": "", "content": CONTENT, "config": {}}
    return {**plain, **more}


def main() -> None:
    variants = {"A": document("split", "v1"), "B": document("split", "v2")}
    rollout = {"seed": "00f1e2d3c4b5a697", "weight_a": 50.0, "variants": variants}
    documents = [document(f"prompt-{n}", "v1") for n in range(1000)] + [document("split", "v1", rollout=rollout)]
    store = {"env": "prod", "revision": 1, "epoch": "e", "etag": None, "documents": documents}
    with tempfile.TemporaryDirectory() as folder:
        name = disk.name_of(base_url=URL, workspace=None, env="prod", api_key=KEY)
        disk.write(Path(folder) / name, {"pins": [], "store": store})
        with PromptOps(URL, KEY, env="prod", cache_dir=folder) as client:
            assert client.get_prompt("prompt-7").content == CONTENT
            get, render = client.get_prompt, client.render
            print(f"a prompt of {len(CONTENT)} characters with {len(VARIABLES)} variables; calls a second of CPU:")
            print(f"{per_second(lambda: get('prompt-7')):>12,.0f}  get_prompt")
            print(f"{per_second(lambda: get('split', unit='user-1')):>12,.0f}  get_prompt of a unit's variant")
            print(f"{per_second(lambda: render('prompt-7', VARIABLES)):>12,.0f}  render")


if __name__ == "__main__":
    main()
