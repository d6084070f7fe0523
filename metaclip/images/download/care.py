"""The bounds of a careful download."""

from dataclasses import dataclass

from metaclip import __version__


@dataclass(frozen=True)
class Care:
    """What one picture, one host and the whole download may take."""

    connections: int = 64
    """Open at once."""
    timeout: float = 10.0
    """Seconds that a server may be silent, from the first byte of a connection to the last of the body."""
    retries: int = 1
    """After a failure that may pass: no answer, 429, 5xx."""
    max_seconds: float = 60.0
    """For one picture, redirects included."""
    max_bytes: int = 50 << 20
    max_pixels: int = 89_478_485
    decoding_seconds: float = 10.0
    host_connections: int = 4
    """To one host at once."""
    max_host_share: float = 0.05
    """The share of a file's rows that one host may have; rows beyond it are not asked for."""
    token: str = "img2dataset"
    """The name by which robots.txt and X-Robots-Tag address this crawler."""
    contact: str = ""
    """An address of who runs it, for the user agent."""
    allow_loopback: bool = False
    """Let 127.0.0.0/8 pass: for tests, whose servers are there."""

    @property
    def user_agent(self) -> str:
        """The User-Agent header: the software, and the name that rules can address."""
        contact = f"; +{self.contact}" if self.contact else ""
        return f"metaclip-pipeline/{__version__} (compatible; {self.token}{contact})"


FREE_ROWS = 1_000
"""Rows of a file that a host may always have, whatever its share."""
