"""Makes `from tests.databases import Database` mean this folder, whatever else is installed."""
