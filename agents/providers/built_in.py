"""The providers that need no setting up beyond a key: one entry each, with everything that is known about it.

A provider whose API is not OpenAI's is a class that implements `ChatProvider`, and an entry that names it.
"""

from agents.providers.mock.client import Mock
from agents.providers.openai_compatible.client import OpenAICompatible
from agents.providers.protocol import Provider

#: The client of all providers that have OpenAI's API, those that admins add among them.
OPENAI_COMPATIBLE = OpenAICompatible()

BUILT_IN = (
    Provider(
        name="mock",
        label="Mock (offline)",
        client=Mock(),
        base_url="http://mock.invalid/v1",
        default_model="mock-1",
        is_offline=True,
    ),
    Provider(
        name="openai",
        label="OpenAI",
        client=OPENAI_COMPATIBLE,
        base_url="https://api.openai.com/v1",
        default_model="gpt-4o-mini",
        key_variable="OPENAI_API_KEY",
        needs_key=True,
        price_list="openai",
        telemetry_name="openai",
    ),
    Provider(
        name="claude",
        label="Anthropic Claude",
        client=OPENAI_COMPATIBLE,
        base_url="https://api.anthropic.com/v1",
        default_model="claude-sonnet-4-5",
        key_variable="ANTHROPIC_API_KEY",
        needs_key=True,
        price_list="anthropic",
        telemetry_name="anthropic",
    ),
    Provider(
        name="ollama",
        label="Ollama",
        client=OPENAI_COMPATIBLE,
        base_url="http://localhost:11434/v1",
        default_model="llama3.2",
    ),
    Provider(
        name="gemini",
        label="Google Gemini",
        client=OPENAI_COMPATIBLE,
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        default_model="gemini-2.5-flash",
        key_variable="GEMINI_API_KEY",
        needs_key=True,
        price_list="google",
        telemetry_name="gcp.gemini",
    ),
)
