"""The bot without Telegram: one chat in memory, and a transcript of what is said in it."""
