"""Names that people type and that become a part of a path or of the registry: what they may be.

Flows say so in their forms, so that a wrong one is refused before a run exists.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field

from schemas.version import VERSION_DIGITS

BOOK: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
BookName = Annotated[str, Field(pattern=rf"^{BOOK.pattern}$")]
VersionName = Annotated[str, Field(pattern=rf"^(challenger|champion|[0-9a-f]{{3,{VERSION_DIGITS}}})$")]
