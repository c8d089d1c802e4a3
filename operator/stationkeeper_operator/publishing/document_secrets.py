"""The Secrets of documents at the API server: read one, or write one if it still has the version that was read."""

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus

from stationkeeper_core.published.documents import secret_name
from stationkeeper_operator.api.kubernetes_api import METADATA_ONLY, ApiError, KubernetesApi, object_body, path_of
from stationkeeper_operator.publishing.generation_floor import ANNOTATION, GenerationFloor
from stationkeeper_operator.publishing.removal_annotation import ANNOTATION as REMOVED
from stationkeeper_operator.publishing.removal_annotation import Removed, encode_removed
from stationkeeper_operator.publishing.stored_document import (
    TERM,
    PublishedSecret,
    StoredDocument,
    read_secret,
    read_stored,
)


class MissingSecretError(Exception):
    """A Secret of the release is missing; the operator has no right to create one."""


class DocumentSecrets:
    """The Secrets of one release, each marked with the present term and the floor of generations where it is written.

    Args:
        api: the API client.
        namespace: the namespace of the release.
        permit: called before each write; raises if the write is not allowed.
        term: the name of the present term of leadership.
        floor: the floor of the process.
    """

    def __init__(
        self,
        api: KubernetesApi,
        namespace: str,
        permit: Callable[[], None],
        term: Callable[[], str],
        floor: GenerationFloor,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._permit = permit
        self._term = term
        self._floor = floor
        # Decode one at a time: several decoding threads would keep Python's lock from the event loop, and so delay its
        # LIST.
        self._decoding = asyncio.Lock()

    async def read(self, document: str) -> StoredDocument:
        """Return the content of a document's Secret; an empty one if there is no Secret.

        Raises:
            ApiError: it cannot be read.
        """
        try:
            secret = read_secret(await self._api.get(self._path(document)))
        except ApiError as error:
            if error.is_not_found:
                return StoredDocument()
            raise
        async with self._decoding:
            return await asyncio.to_thread(read_stored, document, secret)

    async def read_if_allowed(self, document: str) -> StoredDocument:
        """Do the same as `read`; return an empty one if the Role lacks the Secret, as the Role of an older chart does.

        Raises:
            ApiError: it cannot be read.
        """
        try:
            return await self.read(document)
        except ApiError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                return StoredDocument()
            raise

    async def version(self, document: str) -> str | None:
        """Return the resourceVersion of a Secret; None if there is none.

        Raises:
            ApiError: it cannot be read.
        """
        try:
            return read_secret(await self._api.get(self._path(document), METADATA_ONLY)).metadata.resource_version
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    async def patch(
        self,
        document: str,
        stored: StoredDocument,
        annotations: Mapping[str, str | None],
        others: Mapping[str, object] | None = None,
    ) -> str:
        """Write annotations and other fields of an unchanged Secret; return its new resourceVersion.

        Args:
            document: the name of the document.
            stored: the Secret as it was read.
            annotations: by name; None removes one.
            others: other fields than the metadata, in the form of a merge patch.

        Raises:
            ApiError: it cannot be written; a conflict if it changed after it was read.
            NotLeadingError: this process no longer holds the Lease.
        """
        metadata = {
            "resourceVersion": stored.resource_version,
            "annotations": {**self._annotations(), **annotations},
        }
        self._permit()
        body = {"metadata": metadata, **(others or {})}
        answer = await self._api.merge_patch(self._path(document), body, METADATA_ONLY)
        return read_secret(answer).metadata.resource_version

    async def replace(
        self, document: str, stored: StoredDocument, value: bytes, noted: Sequence[Removed]
    ) -> PublishedSecret:
        """Write the content of an unchanged Secret.

        Args:
            document: the name of the document.
            stored: the Secret as it was read.
            value: the new content.
            noted: the removals without an event yet.

        Raises:
            ApiError: it cannot be written; a conflict if it changed after it was read.
            MissingSecretError: the Secret does not exist.
        """
        name = secret_name(document)
        data = {document: base64.b64encode(value).decode("ascii")}
        if stored.resource_version is None:
            raise MissingSecretError(f"the Secret {name} is missing: run `helm upgrade` to create it again")
        # The chart owns the labels: applied here too, they would make the next upgrade fail with a conflict.
        metadata: dict[str, object] = {"name": name, "namespace": self._namespace}
        annotations = self._annotations()
        if noted or stored.removed:
            annotations[REMOVED] = encode_removed(noted)
        metadata |= {"resourceVersion": stored.resource_version, "annotations": annotations}
        body = object_body("v1", "Secret", metadata, type="Opaque", data=data)
        return read_secret(await self._api.apply(self._path(document), body))

    def _annotations(self) -> dict[str, str]:
        return {TERM: self._term(), ANNOTATION: str(self._floor.value)}

    def _path(self, document: str) -> str:
        return path_of("v1", self._namespace, "secrets", secret_name(document))
