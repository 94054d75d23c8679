"""Everything about avatars."""
