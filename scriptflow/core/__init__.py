"""The engine: decides, queues, dispatches, checks and records; knows no screen, database or network."""
