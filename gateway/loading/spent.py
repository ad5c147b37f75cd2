"""What an operation has taken of us so far, counted where it happens: one addition a call, one a layer of objects.

Invariant: nothing of a payload, a key or a caller is in it, so it needs no bound. State: of one operation, or of one event of a
subscription. What is done for nobody in particular (a refresh of a cached answer) is counted nowhere.
"""

from __future__ import annotations

from ..services import Handler, ServiceRequest, ServiceResponse


class Spent:
    """Counts of one operation."""

    __slots__ = ("calls", "objects", "sagas", "weights")

    def __init__(self) -> None:
        self.calls = 0
        """To services, each with all its attempts; one that an identical call answered is counted, too."""
        self.objects = 0
        """Of the answer, those that became null afterwards among them."""
        self.weights = 0
        """Declared by the graph's author (`cost=`), of each field as often as it was made."""
        self.sagas = 0
        """That were begun; their calls are made by whoever runs them, and perhaps later."""

    def counting(self, call: Handler) -> Handler:
        """The same calls, counted."""

        async def counted(request: ServiceRequest) -> ServiceResponse:
            self.calls += 1
            return await call(request)

        return counted

    def __repr__(self) -> str:
        return f"<Spent {self.calls} calls, {self.objects} objects, {self.weights} declared, {self.sagas} sagas>"
