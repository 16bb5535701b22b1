"""Which storage an address means."""

from blocks.storage import Access, Storage, is_remote
from blocks.storage.folder import Folder


def storage_at(address: str, access: Access = Access()) -> Storage:  # noqa: B008 - frozen
    """The folder or bucket of this address; nothing is asked yet. Raises BadInput for an address that cannot be."""
    if not is_remote(address):
        return Folder(address)
    from blocks.storage.s3 import S3  # noqa: PLC0415 - its import takes a second

    return S3(address, access)
