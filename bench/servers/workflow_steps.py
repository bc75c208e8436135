"""The workflow that is measured."""

from typing import Any

STEPS: list[dict[str, Any]] = [{"id": f"m{number}", "type": "model", "provider": "mock"} for number in range(5)]
