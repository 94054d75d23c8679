"""A Telegram bot that makes avatars: the example application of sqla_safe."""
