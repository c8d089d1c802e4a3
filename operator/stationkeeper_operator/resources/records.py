"""Decode raw Kubernetes objects into records.

Every object of the API server gives a record. The schema of the CRD refuses most errors at `apply`, but an object may
be older than the schema. A spec that cannot be decoded gives a record without a spec, with the problem.

There may be 100,000 Gateways: `gc=False` saves 16 bytes of each object, and the garbage collector does not look at it.
This is right for data from JSON, which never refers to itself.
"""

import base64
import binascii
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar

import msgspec

from stationkeeper_operator.resources.raw_json import UNDECODABLE, convert, object_of
from stationkeeper_operator.resources.resource_status import Status
from stationkeeper_operator.resources.specs import (
    GatewayDefaultsSpec,
    GatewaySpec,
    TrustedCASpec,
)
from stationkeeper_operator.resources.status_manager import status_writers

TRUSTED_CA = "TrustedCA"
GATEWAY = "Gateway"
GATEWAY_DEFAULTS = "GatewayDefaults"
SECRET = "Secret"  # noqa: S105 - a kind, not a secret
CONFIG_MAP = "ConfigMap"

TAKES_OVER = "stationkeeper.io/takes-over"
"""The annotation that hands an EUI over to a Gateway of another namespace; a person sets it."""

CERTIFICATE_NAME = "cert-manager.io/certificate-name"
"""The annotation of cert-manager on a Secret with the name of its Certificate."""

MAX_NAME = 253

DEFAULTS_NAME = "default"
"""The only allowed name of a GatewayDefaults, so that a namespace has at most one."""

_NO_LABELS: dict[str, str] = {}
_NEVER = datetime.max.replace(tzinfo=UTC)
_S = TypeVar("_S", bound=msgspec.Struct)


class Key(NamedTuple):
    """The identity of a TrustedCA, Gateway or GatewayDefaults."""

    kind: str
    namespace: str
    name: str


_NO_KEY = Key("", "", "")


class Reference(NamedTuple):
    """The identity of a Secret or ConfigMap."""

    kind: str
    namespace: str
    name: str


class Annotations(msgspec.Struct, frozen=True, kw_only=True):
    """The annotations that the operator uses; others are dropped, because some are large.

    Attributes:
        takes_over: the uid of the Gateway of another namespace that hands its EUI over to this one.
        certificate: the name of the Certificate of a Secret that cert-manager writes.
    """

    takes_over: str = msgspec.field(default="", name=TAKES_OVER)
    certificate: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] = msgspec.field(default="", name=CERTIFICATE_NAME)


class Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """The used metadata of an object; an unreadable field has its default.

    Attributes:
        name, namespace, uid: those of the object.
        generation: the generation of its spec.
        resource_version: the version of the whole object.
        creation_timestamp: the time, aware; if it cannot be read, the object counts as the newest.
        deletion_timestamp: the time of the deletion request; None if there was none.
        labels: the labels.
        annotations: the used annotations.
    """

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: datetime = _NEVER
    deletion_timestamp: Any = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: Annotations = Annotations()

    @property
    def version(self) -> int:
        """The resourceVersion as a number, which grows with time; 0 if it is not a number."""
        text = self.resource_version
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def being_deleted(self) -> bool:
        """Whether it is being deleted and a finalizer still holds it; it then vouches for nothing.

        Any value counts, also an unreadable one: a deletion cannot be undone.
        """
        return self.deletion_timestamp is not None

    @property
    def seniority(self) -> tuple[datetime, str]:
        """A sort key: older objects first, and objects of the same second by uid."""
        return (self.creation_timestamp, self.uid)


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """The common fields of the resources.

    Attributes:
        KIND: the kind of the resource.
        metadata: of the object.
        problem: why there is no spec; empty if there is one.
        status: the present one.
        key: the identity.
    """

    KIND: ClassVar[str]

    metadata: Metadata
    problem: str = ""
    status: Status = Status()
    key: Key = _NO_KEY

    def __post_init__(self) -> None:
        """Make the identity once: many collections hold it."""
        msgspec.structs.force_setattr(self, "key", Key(self.KIND, self.metadata.namespace, self.metadata.name))


class TrustedCA(_Record, frozen=True, kw_only=True):
    """A TrustedCA.

    Attributes:
        spec: None if it cannot be decoded.
        suspended: whether the spec says so; known even if the rest cannot be decoded.
    """

    KIND = TRUSTED_CA

    spec: TrustedCASpec | None
    suspended: bool = False


class Gateway(_Record, frozen=True, kw_only=True, gc=False):
    """A Gateway.

    Attributes:
        spec: None if it cannot be decoded.
        suspended: whether the spec says so; known even if the rest cannot be decoded.
    """

    KIND = GATEWAY

    spec: GatewaySpec | None
    suspended: bool = False


class GatewayDefaults(_Record, frozen=True, kw_only=True):
    """The defaults of the Gateways of a namespace.

    Attributes:
        spec: None if it cannot be decoded.
        suspended: always false; other resources have this attribute too.
    """

    KIND = GATEWAY_DEFAULTS

    spec: GatewayDefaultsSpec | None
    suspended: ClassVar[bool] = False


Resource = TrustedCA | Gateway | GatewayDefaults


class ReferencedObject(msgspec.Struct, frozen=True, kw_only=True):
    """A Secret or ConfigMap.

    Attributes:
        metadata: of the object.
        data: the content of each key, decoded.
        problem: why its content is not kept; empty if it is.
    """

    metadata: Metadata
    data: dict[str, bytes]
    problem: str = ""


class _Envelope(msgspec.Struct, rename="camel"):
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    spec: msgspec.Raw = msgspec.Raw(b"null")
    status: msgspec.Raw = msgspec.Raw(b"{}")
    data: msgspec.Raw = msgspec.Raw(b"{}")
    binary_data: msgspec.Raw = msgspec.Raw(b"{}")


class _Identity(msgspec.Struct, rename="camel"):
    namespace: str = ""
    name: str = ""
    resource_version: str = ""


class _Identified(msgspec.Struct):
    metadata: _Identity


def decode_resource(kind: str, raw: bytes | Mapping[str, Any]) -> Resource:
    """Return the record of a TrustedCA, Gateway or GatewayDefaults.

    Args:
        kind: `TrustedCA`, `Gateway` or `GatewayDefaults`.
        raw: the object, as JSON text or decoded.
    """
    envelope, problem = _envelope(raw)
    metadata = _lean(_metadata(envelope.metadata))
    status = Status(bytes(envelope.status), status_writers(bytes(envelope.metadata)))
    suspended = object_of(envelope.spec).get("suspended") is True if b"suspended" in bytes(envelope.spec) else False
    if kind == TRUSTED_CA:
        ca_spec, spec_problem = _spec(envelope.spec, TrustedCASpec)
        return TrustedCA(
            metadata=metadata, spec=ca_spec, problem=problem or spec_problem, suspended=suspended, status=status
        )
    if kind == GATEWAY:
        gateway_spec, spec_problem = _spec(envelope.spec, GatewaySpec)
        if gateway_spec is not None:
            _share_texts(gateway_spec)
        return Gateway(
            metadata=metadata, spec=gateway_spec, problem=problem or spec_problem, suspended=suspended, status=status
        )
    if kind == GATEWAY_DEFAULTS:
        defaults_spec, spec_problem = _spec(envelope.spec, GatewayDefaultsSpec)
        return GatewayDefaults(metadata=metadata, spec=defaults_spec, problem=problem or spec_problem, status=status)
    raise ValueError(f"{kind} is not a kind of this operator")


def share_parts(resource: Resource, earlier: Resource) -> None:
    """Replace parts of `resource` by equal parts of its version `earlier`, so that they are in memory once."""
    if type(resource) is not type(earlier):
        return
    for each in ("key", "spec", "status"):
        share_field(resource, earlier, each)
    for each in ("name", "namespace", "uid", "creation_timestamp", "annotations"):
        share_field(resource.metadata, earlier.metadata, each)


def share_field(new: msgspec.Struct, earlier: msgspec.Struct, field: str) -> None:
    """Replace the value of a field of `new` by the one of `earlier`, of any type, if both are equal."""
    before = getattr(earlier, field)
    if getattr(new, field) == before:
        msgspec.structs.force_setattr(new, field, before)


def read_identity(raw: bytes) -> tuple[str, str, str]:
    """Return namespace, name and resourceVersion of an object in JSON text; empty if they cannot be read."""
    try:
        metadata = msgspec.json.decode(raw, type=_Identified).metadata
    except UNDECODABLE:
        return "", "", ""
    return metadata.namespace, metadata.name, metadata.resource_version


def decode_referenced(kind: str, raw: bytes | Mapping[str, Any]) -> ReferencedObject:
    """Return the record of a Secret or ConfigMap; keys with undecodable content are left out.

    Args:
        kind: `Secret` or `ConfigMap`.
        raw: the object, as JSON text or decoded.
    """
    if kind not in {SECRET, CONFIG_MAP}:
        raise ValueError(f"{kind} is not a kind that is referred to")
    envelope, _ = _envelope(raw)
    encoded = envelope.data if kind == SECRET else envelope.binary_data
    data = {key: content for key, value in object_of(encoded).items() if (content := _base64(value)) is not None}
    if kind == CONFIG_MAP:
        data |= {key: value.encode() for key, value in object_of(envelope.data).items() if isinstance(value, str)}
    return ReferencedObject(metadata=_metadata(envelope.metadata), data=data)


def _envelope(raw: bytes | Mapping[str, Any]) -> tuple[_Envelope, str]:
    try:
        text = raw if isinstance(raw, bytes) else msgspec.json.encode(dict(raw))
        return msgspec.json.decode(text, type=_Envelope), ""
    except UNDECODABLE as error:
        return _Envelope(), f"the object cannot be decoded: {error}"


def _spec(raw: msgspec.Raw, kind: type[_S]) -> tuple[_S | None, str]:
    try:
        return msgspec.json.decode(raw, type=kind), ""
    except UNDECODABLE as error:
        return None, f"the spec cannot be decoded: {error}"


def _metadata(raw: msgspec.Raw) -> Metadata:
    try:
        return _aware(msgspec.json.decode(raw, type=Metadata))
    except UNDECODABLE:
        fields = object_of(raw)
    readable: dict[str, Any] = {}
    for field in msgspec.structs.fields(Metadata):
        value = convert(fields.get(field.encode_name), field.type)
        if value is not None:
            readable[field.name] = value
    return _aware(Metadata(**readable))


def _lean(metadata: Metadata) -> Metadata:
    """Return `metadata`, changed in place: with shared texts, and without the parts that resources do not use."""
    msgspec.structs.force_setattr(metadata, "namespace", sys.intern(metadata.namespace))
    # Resources that are applied together have the same time.
    msgspec.structs.force_setattr(metadata, "creation_timestamp", _shared_time(metadata.creation_timestamp))
    # Labels are used only on Secrets.
    msgspec.structs.force_setattr(metadata, "labels", _NO_LABELS)
    return metadata


@lru_cache(maxsize=1024)
def _shared_time(moment: datetime) -> datetime:
    return moment


def _share_texts(spec: GatewaySpec) -> None:
    """Share texts that are equal in many Gateways, such as the trust of their LNS."""
    for endpoint in (spec.lns, spec.cups):
        if endpoint is not None:
            msgspec.structs.force_setattr(endpoint, "uri", sys.intern(endpoint.uri))
            if endpoint.trust is not None:
                msgspec.structs.force_setattr(endpoint, "trust", sys.intern(endpoint.trust))


def _aware(metadata: Metadata) -> Metadata:
    if metadata.creation_timestamp.tzinfo is not None:
        return metadata
    return msgspec.structs.replace(metadata, creation_timestamp=metadata.creation_timestamp.replace(tzinfo=UTC))


def _base64(value: object) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
