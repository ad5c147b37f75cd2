"""What tests ask of processes that are not their own children."""

from pathlib import Path


def lives(pid: int) -> bool:
    """Whether the process is there. Not so for a zombie: it holds nothing any more, and its parent is not ours to hurry."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
