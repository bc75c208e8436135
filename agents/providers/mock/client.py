"""The mock as a `ChatProvider`: OpenAI's API over a transport that answers by itself (`transport.py`).

What runs against it is the code that calls real providers, from the request's bytes to the answer's.
"""

from typing import TYPE_CHECKING

from agents.providers.openai_compatible.client import OpenAICompatible
from agents.providers.protocol import ModelCall

if TYPE_CHECKING:
    from agents.providers.openai_compatible.client import Connect


class Mock(OpenAICompatible):
    async def connection(self, call: ModelCall) -> "Connect":
        from agents.providers.mock.transport import MockTransport  # brings httpx2, too slow for the start of a process

        return MockTransport
