"""Text that others have written, made fit to be shown: a terminal obeys control characters, and people believe names.

May import nothing of this project.
"""

import json


def printable(text: str) -> str:
    """A text in one line, with "?" for what cannot be printed: control characters, marks that turn the direction."""
    return "".join(one if one.isprintable() else "?" for one in text)


def quoted(text: str, most: int = 16) -> str:
    """The first `most` characters of a text in quotes, as ASCII: all others are escaped, and look like nothing else."""
    return json.dumps(text[:most]).replace("\x7f", "\\u007f")
