"""Names of OpenTelemetry's semantic conventions for generative AI (1.38), the ones that we use."""

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
USAGE_INPUT_TOKENS = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
ERROR_TYPE = "error.type"

CHAT = "chat"

#: Our providers, as the conventions call them. Others go by their own names.
PROVIDERS = {"openai": "openai", "claude": "anthropic", "gemini": "gcp.gemini"}
PARAMETERS = {"temperature": REQUEST_TEMPERATURE, "top_p": REQUEST_TOP_P, "max_tokens": REQUEST_MAX_TOKENS}
