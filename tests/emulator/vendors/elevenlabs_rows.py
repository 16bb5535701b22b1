"""ElevenLabs' errors, in the three envelopes that it has."""

from collections.abc import Mapping

from tests.emulator.vendor import Call, Row
from tests.emulator.wire import Answer, in_json

ROWS: Mapping[str, Row] = {
    "text_too_long": Row(400, "text_too_long", "The text is too long.", "max_character_limit_exceeded"),
    "text_too_short": Row(400, "text_too_short", "The text is too short."),
    "empty_text": Row(400, "empty_text", "The text is empty."),
    "invalid_text": Row(400, "invalid_text", "The text is invalid."),
    "invalid_parameters": Row(400, "invalid_parameters", "A parameter is invalid."),
    "malformed_json": Row(400, "malformed_json", "The body is no JSON."),
    "invalid_voice_id": Row(400, "invalid_voice_id", "The voice id is invalid."),
    "invalid_output_format": Row(400, "invalid_output_format", "The output format is invalid."),
    "unsupported_model": Row(400, "unsupported_model", "The model cannot do this."),
    "voice_not_found": Row(404, "voice_not_found", "The voice was not found."),
    "model_not_found": Row(404, "model_not_found", "The model was not found."),
    "invalid_api_key": Row(401, "invalid_api_key", "Invalid API key."),
    "missing_api_key": Row(401, "missing_api_key", "The xi-api-key header is missing.", "needs_authorization"),
    "unauthorized": Row(401, "unauthorized", "Unauthorized."),
    "quota_exceeded": Row(
        401, "", "This request exceeds your quota of 10000. You have 0 credits remaining.", "quota_exceeded"
    ),
    "insufficient_credits": Row(402, "insufficient_credits", "You have no credits left."),
    "voice_access_denied": Row(403, "voice_access_denied", "This key may not use this voice."),
    "model_access_denied": Row(403, "model_access_denied", "This key may not use this model."),
    "feature_not_available": Row(403, "feature_not_available", "Your plan does not have this feature."),
    "subscription_required": Row(403, "subscription_required", "This needs a higher plan."),
    "insufficient_permissions": Row(403, "insufficient_permissions", "The key lacks a permission."),
    "concurrent_modification": Row(409, "concurrent_modification", "Somebody else changes this."),
    "already_running": Row(409, "already_running", "This is already running."),
    "unprocessable": Row(422, "missing", "Field required"),
    "concurrent_limit_exceeded": Row(
        429, "concurrent_limit_exceeded", "Too many concurrent requests.", "too_many_concurrent_requests"
    ),
    "rate_limit_exceeded": Row(429, "rate_limit_exceeded", "Too many requests."),
    "system_busy": Row(429, "system_busy", "We are under heavy load; try again."),
    "internal_error": Row(500, "internal_error", "Internal error."),
    "service_unavailable": Row(503, "service_unavailable", "The service is unavailable."),
    "maintenance": Row(503, "maintenance", "The service is under maintenance."),
}
_TYPES = {400: "validation_error", 401: "authentication_error", 429: "rate_limit_error"}


def refuse(call: Call, row: Row) -> Answer:
    """`code` in the new form, `status` alone in the old one and where the row has no code, a list for a 422."""
    headers = {"request-id": call.id}
    if row.status == 422 or call.envelope == "list":
        return in_json({"detail": [{"loc": ["body", "text"], "msg": row.message, "type": row.code}]}, 422, headers)
    legacy = {"status": row.kind or row.code, "message": row.message}
    if call.envelope == "old" or not row.code:
        return in_json({"detail": legacy}, row.status, headers)
    kind = _TYPES.get(row.status, "api_error")
    detail = {"type": kind, "code": row.code, **legacy, "request_id": call.id, "param": None}
    return in_json({"detail": detail}, row.status, headers)
