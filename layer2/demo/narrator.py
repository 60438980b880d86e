"""Tells a story on a terminal: numbered steps, tables, and checks that are counted. May import click."""

from collections.abc import Sequence

import click


class Narrator:
    """Prints as it goes. Colours only where the output is a terminal (click sees to that)."""

    def __init__(self) -> None:
        self._steps = 0
        self.failed: list[str] = []
        self.checks = 0

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._steps += 1
        click.echo()
        click.secho(f"{self._steps}. {title}", bold=True)

    def say(self, text: str) -> None:
        """A line of the story."""
        click.echo(f"   {text}")

    def check(self, text: str, holds: bool) -> None:
        """State something that has just been checked; a false one makes the demonstration fail."""
        self.checks += 1
        if holds:
            click.echo(f"   {click.style('✓', fg='green')} {text}")
        else:
            self.failed.append(text)
            click.echo(f"   {click.style('✗', fg='red')} {text} - DOES NOT HOLD")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table; the first column to the left, the others to the right."""
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        for number, row in enumerate((head, *rows)):
            cells = [
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            line = "   " + "  ".join(cells).rstrip()
            click.secho(line, underline=False, bold=number == 0)
