"""The chain over the lines of a session file: what proves that no byte of them was changed.

Rules:

- The file is a row of *blocks*. Block 0 is the manifest line; every other block is one or more record lines. Each block is
  followed by its *seal* line.
- The seal's `h` is SHA-256 over the previous seal's `h` (32 bytes; none before block 0) and the exact bytes of the block.
  The `h` of the last seal is the *head*: it depends on every byte before it.
- Where a key is configured, the seal's `m` is HMAC-SHA256(k, h), with a key per block: k of block 0 is
  HMAC-SHA256(configured key, manifest line), and each next one is SHA-256 of the one before, which is forgotten.
  Whoever rewrites blocks without the key can recompute `h`, never `m`; whoever finds k in memory cannot seal what is past.
- A record's check is the first 8 bytes of SHA-256 over the last seal's `h` and the line's body. It names the record whose
  bytes changed, and guards the records that no seal follows yet. It proves nothing against somebody who recomputes it:
  the seals do.

Why blocks. Reading is the limit of replay, not writing. Measured per record of 280 bytes: hashing a block costs 0.2 µs, a SHA-256
per record 0.7 µs, an HMAC and a new key per record 2.9 µs, of the 3.3 µs that 300,000 frames a second leave for everything.
So the reader hashes blocks, and looks at the checks of single records only in a block that does not match its seal, and
behind the last seal.

Deliberately absent: signatures with a public key, and time stamps of a third party. Cutting off the tail is invisible to any
chain: `anchor.py`.
"""

import hashlib
import hmac
import re
from typing import NamedTuple

from .lines import CHECK_HEX

_SEAL = re.compile(rb'\{"k":"seal","n":(\d{1,19}),"h":"([0-9a-f]{64})"(?:,"m":"([0-9a-f]{64})")?\}\n')


def check_of(head: bytes, body: bytes) -> bytes:
    """Return the check of a record line whose block follows the seal `head`."""
    return hashlib.sha256(head + body).hexdigest()[:CHECK_HEX].encode()


class Chain:
    """The state of the chain between two lines; the same for whoever writes and whoever reads.

    Args:
        manifest: the manifest line.
        key: the configured key, or None: no seal has an `m`, or its reader cannot check it.
    """

    __slots__ = ("_block", "_key", "head")

    def __init__(self, manifest: bytes, key: bytes | None) -> None:
        self.head = b""
        self._key = hmac.digest(key, manifest, "sha256") if key is not None else None
        self._block = hashlib.sha256(manifest)

    def add(self, lines: bytes) -> None:
        """Take whole record lines into the current block."""
        self._block.update(lines)

    def seal(self, seq: int) -> bytes:
        """End the current block with record `seq`; return its seal line."""
        self.head = self._block.digest()
        line = b'{"k":"seal","n":%d,"h":"%b"' % (seq, self.head.hex().encode())
        if self._key is not None:
            line += b',"m":"%b"' % hmac.digest(self._key, self.head, "sha256").hex().encode()
            self._key = hashlib.sha256(self._key).digest()
        self._block = hashlib.sha256(self.head)
        return line + b"}\n"


class SealLine(NamedTuple):
    """A seal line as found in a file; `digest` and `mac` are hexadecimal, `mac` is None where the line has none."""

    seq: int
    digest: bytes
    mac: bytes | None


def seal_from(line: bytes) -> SealLine | None:
    """Return what a seal line says, None if it is not written as this package writes seals."""
    match = _SEAL.fullmatch(line)
    if match is None:
        return None
    return SealLine(int(match[1]), match[2], match[3])
