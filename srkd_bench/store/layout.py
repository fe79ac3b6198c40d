"""Names of the files in an artifact."""

WEIGHTS, CARD, SCORES, EVENTS, FAILED = (
    "weights.safetensors", "card.json", "scores.json", "events.jsonl", "failed.json",
)  # fmt: skip
