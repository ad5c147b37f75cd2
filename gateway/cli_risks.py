"""Risks in words: the lines of `sagaql check` under profile production, and the one line that `serve` logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from .risks import Level, Risk, idle_acceptances, risks

if TYPE_CHECKING:
    from .settings import Settings
    from .telemetry import Log


def tell_risks(settings: Settings) -> int:
    """List what makes this gateway unsafe where others reach it; none of one that nobody else reaches. Returns how many dangers."""
    found = _of_production(settings)
    for risk in found:
        said_by = settings.said_by(risk.path)
        typer.echo(f"{risk.level:<8} {risk.setting} ({said_by}): {risk.consequence}: {risk.remedy}")
    for name in idle_acceptances(settings):
        said_by = settings.said_by(("accepted_risks",))
        typer.echo(f"{Level.ACCEPTED} {name} ({said_by}): it is no risk here: leave it out")
    dangers, warnings = (sum(risk.level is level for risk in found) for level in (Level.DANGER, Level.WARNING))
    if settings.profile == "production":
        typer.echo(f"{_so_many(dangers, Level.DANGER)}, {_so_many(warnings, Level.WARNING)}")
    return dangers


def warn_of_dangers(settings: Settings, *, log: Log) -> None:
    """Once at the start: whoever runs it may never have asked `check`."""
    dangers = [risk.setting for risk in _of_production(settings) if risk.level is Level.DANGER]
    if dangers:
        log.warning("profile production with dangers, see `sagaql check --profile production`", settings=dangers)


def _of_production(settings: Settings) -> tuple[Risk, ...]:
    return risks(settings) if settings.profile == "production" else ()


def _so_many(count: int, level: Level) -> str:
    return f"{count} {level}" if count == 1 else f"{count} {level}s"
