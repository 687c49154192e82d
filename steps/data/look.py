"""Look."""

from typing import Annotated

from zenml import step

from forecaster.sources import Selection
from forecaster.sources import fingerprint as content


@step(enable_cache=False)
def look(source: str, user: str | None, tag: str | None) -> Annotated[str, "fingerprint"]:
    """Look at the source in each run of a schedule; the steps behind it come from the cache while its content stays.

    Args:
        source: path, SQLAlchemy URL, hub:// or simulated://.
        user: only this user's readings.
        tag: only readings with this tag.

    Returns:
        The fingerprint of the source's content.
    """
    return content(source, Selection(user=user, tag=tag))
