"""The secrets that this process knows, for whatever writes text: the record, log lines, errors.

`read_key` adds each secret that it reads, the engine each token that it fetches. A module of its own, light to import, because
the command line needs it where everything else may have failed.
"""

from replay.redact import Redactor

SECRETS = Redactor()
