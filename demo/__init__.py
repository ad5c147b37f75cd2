"""The demo shop: seven small real services with their own processes, databases and fault switches.

Invariant: nothing here imports the gateway. A service knows HTTP, its own SQLite file and its own
JSON, and no other service.
Start reading at `inventory.py` (one service), then `kit/application.py` (what every service has), then `supervisor.py`.
"""
