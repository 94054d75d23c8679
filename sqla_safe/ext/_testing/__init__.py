"""What tests of an application need; nothing here needs pytest."""
