"""Telegram on this machine: the Bot API for one bot, and a page to chat with it."""
