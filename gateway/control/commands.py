"""The commands that a running gateway takes, by name. What they do is written where it belongs; here is only the list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any


@dataclass(frozen=True, slots=True)
class Caller:
    """Who speaks, as the operating system says; None where it does not."""

    uid: int | None = None
    pid: int | None = None


Command = Callable[[Mapping[str, Any], Caller], Awaitable[Any]]
"""Arguments and caller in, JSON out. Raises: Refused."""


class Refused(Exception):
    """What stands in the way of a command: sentences for whoever typed it."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class Commands:
    """Registered by name, before anybody speaks. A name may have several words: "services reload"."""

    def __init__(self, commands: Mapping[str, Command] | None = None) -> None:
        self._commands = dict(commands or {})

    def __repr__(self) -> str:
        return f"<Commands {', '.join(sorted(self._commands)) or 'none'}>"

    def add(self, commands: Mapping[str, Command]) -> None:
        """Raises: ValueError for a name that is taken."""
        if taken := sorted(self._commands.keys() & commands.keys()):
            raise ValueError(f"there is a command {taken[0]!r} already")
        self._commands.update(commands)

    async def run(self, name: str, arguments: Mapping[str, Any], caller: Caller) -> Any:
        """What the command says. Raises: Refused, for a name that is none too."""
        command = self._commands.get(name)
        if command is None:
            near = get_close_matches(name, self._commands, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise Refused([f"there is no command {name!r}: {hint}there are {', '.join(sorted(self._commands))}"])
        return await command(arguments, caller)
