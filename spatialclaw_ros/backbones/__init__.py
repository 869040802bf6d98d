"""The models that answer: one chat interface, an OpenAI-compatible client, and an offline writer of cells."""
