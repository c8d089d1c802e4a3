"""The table of reasons: the fault, the meaning and the remedy of each. `docs/reasons.md` is made from it."""

from stationkeeper_core.errors import Fault, Reason, ReasonInfo


def _request(status: int, meaning: str, remedy: str) -> ReasonInfo:
    return ReasonInfo(Fault.REQUEST, meaning, remedy, status)


def _discreet(status: int, meaning: str, remedy: str) -> ReasonInfo:
    return ReasonInfo(Fault.REQUEST, meaning, remedy, status, discreet=True)


def _handshake(meaning: str, remedy: str) -> ReasonInfo:
    return ReasonInfo(Fault.HANDSHAKE, meaning, remedy)


def _resource(meaning: str, remedy: str) -> ReasonInfo:
    return ReasonInfo(Fault.RESOURCE, meaning, remedy)


def _load(meaning: str, remedy: str) -> ReasonInfo:
    return ReasonInfo(Fault.LOAD, meaning, remedy)


REASONS: dict[Reason, ReasonInfo] = {
    Reason.MALFORMED_REQUEST: _request(
        400,
        "The body is not the JSON object of the protocol.",
        "Send a JSON object with the protocol's field types.",
    ),
    Reason.ROUTER_MISSING: _request(400, "The body has no `router`.", "Send the gateway's EUI in `router`."),
    Reason.ROUTER_UNPARSABLE: _request(
        400,
        "`router` is neither an ID6 nor a separated EUI-64.",
        "Send the EUI as ID6 (`102:304:506:708`) or with dashes (`01-02-03-04-05-06-07-08`).",
    ),
    Reason.REQUEST_TOO_LARGE: _request(413, "The body is larger than 16 KiB.", "Send a smaller body."),
    Reason.REQUEST_TIMEOUT: ReasonInfo(
        Fault.REQUEST, "The body did not arrive in time; the connection is closed.", "Check the network of the gateway."
    ),
    Reason.PATH_NOT_FOUND: _request(
        404,
        "CUPS does not serve this path.",
        "Use `POST /update-info`; the CUPS URI of a gateway has no path.",
    ),
    Reason.METHOD_NOT_ALLOWED: _request(405, "The method is not POST.", "Use `POST /update-info`."),
    Reason.MALFORMED_CERTIFICATE: _request(
        403, "The client certificate cannot be read.", "Issue a new certificate for the gateway."
    ),
    Reason.COMMON_NAME_NOT_EUI: _request(
        403,
        "The client certificate does not have exactly one Common Name of 16 hex digits.",
        "Issue a certificate with exactly one Common Name: the gateway's EUI-64.",
    ),
    Reason.COMMON_NAME_MISMATCH: _request(
        403,
        "The client certificate is for another EUI than the request's `router`.",
        "Install the certificate that was issued for this gateway.",
    ),
    Reason.GATEWAY_NOT_REGISTERED: _discreet(
        404, "There is no accepted Gateway with this EUI.", "Apply a Gateway with this EUI."
    ),
    Reason.GATEWAY_SUSPENDED: _discreet(
        403, "The Gateway is suspended.", "Set `spec.suspended` to false to accept it again."
    ),
    Reason.NO_TRUSTED_CA: _discreet(
        403,
        "No TrustedCA in force vouches for the client certificate any more.",
        "Apply a TrustedCA with its issuer.",
    ),
    Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE: _discreet(
        403,
        "Only a TrustedCA of another namespace vouches for the client certificate.",
        "Put the TrustedCA into the Gateway's namespace, or into the release's namespace with an entry in "
        "`spec.serves` for the Gateway's namespace.",
    ),
    Reason.TRUSTED_CA_NOT_ALLOWED: _discreet(
        403,
        "The Gateway's `client.trustedCAs` does not name the TrustedCA that vouches for the certificate.",
        "Add that TrustedCA to the list, or use a certificate of a TrustedCA in the list.",
    ),
    Reason.EUI_OUT_OF_RANGE: _discreet(
        403,
        "The EUI is outside the `euiRanges` of the TrustedCA that vouches for the certificate.",
        "Widen the ranges if this CA may vouch for the gateway.",
    ),
    Reason.CERTIFICATE_NOT_PINNED: _discreet(
        403,
        "The certificate is not among the Gateway's `client.sha256Fingerprints`.",
        "Add the certificate's SHA-256 fingerprint, or use a certificate that is listed.",
    ),
    Reason.CERTIFICATE_REVOKED: _discreet(
        403,
        "The TrustedCA revokes the certificate or another one of its chain.",
        "Issue a new certificate for the gateway.",
    ),
    Reason.TOKEN_MISSING: _request(
        403,
        "The client sent neither a certificate nor an `Authorization` header.",
        "Install a client certificate on the gateway, or one of the tokens of its Gateway's `client.tokens`.",
    ),
    Reason.TOKEN_REFUSED: _discreet(
        403,
        "The token is not valid for the gateway that the request names.",
        "The log line's detail says which of these it is: no such Gateway, a suspended one, one without tokens, or one "
        "with another token. Correct the Gateway, or install its token on the gateway.",
    ),
    Reason.CRL_EXPIRED: _discreet(
        403,
        "The next update of an issuer's CRL is overdue, and the TrustedCA has `crlExpired: Refuse`. With `Warn`, this "
        "is only an event and a note.",
        "Publish a new CRL in `spec.revocation`. Until then, no certificate of that issuer is accepted.",
    ),
    Reason.CERTIFICATE_TOO_WEAK: _discreet(
        403,
        "A key or signature of the chain is too weak (RSA below 2048 bits, SHA-1). If no TrustedCA allows it, the "
        "handshake already refuses it.",
        "Issue a certificate with RSA 2048 or P-256 and SHA-256, or better; or set `weakSignatures: Allow` on the "
        "TrustedCA.",
    ),
    Reason.FORWARDED_CERTIFICATE_NOT_ALLOWED: _request(
        403,
        "A request on the port of gateways has a header that only TLS-terminating proxies send, to a port of their "
        "own.",
        "Let the proxy connect to the port in `cups.forwarded`. A gateway sends no such header.",
    ),
    Reason.TRUST_BUDGET_SPENT: ReasonInfo(
        Fault.REQUEST,
        "There are more possible paths from the certificate to trust anchors than one decision may try, and no path "
        "that was tried verifies. The connection is closed, or its handshake is refused.",
        "Use fewer certificates with the same subject in the TrustedCAs of the namespace, and certificates with key "
        "identifiers.",
        discreet=True,
    ),
    Reason.CLIENT_CERTIFICATE_MISSING: _handshake(
        "The client sent no certificate.", "Install a client certificate on the gateway."
    ),
    Reason.UNKNOWN_CA: _handshake(
        "No TrustedCA in force has the issuer of the client certificate.",
        "Apply a TrustedCA with the issuer. If it has only the root, add the intermediates.",
    ),
    Reason.CERTIFICATE_EXPIRED: _handshake(
        "The client certificate, or another one of its chain, has expired.",
        "Renew it, and check the clock of this server.",
    ),
    Reason.CERTIFICATE_NOT_YET_VALID: _handshake(
        "The client certificate, or another one of its chain, is not valid yet.",
        "Check the clocks of the issuer and of this server.",
    ),
    Reason.CERTIFICATE_WRONG_PURPOSE: _handshake(
        "The certificate's extended key usage does not allow client authentication.",
        "Issue it with `clientAuth`, or without an extended key usage.",
    ),
    Reason.CERTIFICATE_INVALID: _handshake(
        "The client certificate's chain does not verify.",
        "Read OpenSSL's error in the log line's detail, and issue a certificate without that fault.",
    ),
    Reason.HANDSHAKE_FAILED: _handshake(
        "The TLS handshake failed before the certificate was judged.",
        "Read OpenSSL's error in the log line's detail. Do nothing if it is a port scan or a plain HTTP client.",
    ),
    Reason.CONNECTION_UNUSED: _handshake(
        "The client connected and left before it sent a byte, like a TCP health check. This is not a refusal: it is "
        "logged at DEBUG and not counted.",
        "Do nothing.",
    ),
    Reason.PROXY_HEADER_MISSING: _handshake(
        "The connection comes from an address that must send a PROXY protocol header first, but does not begin with "
        "one.",
        "Let the load balancer send the header, or remove the address from `cups.proxyProtocol.trustedCIDRs`.",
    ),
    Reason.PROXY_HEADER_INVALID: _handshake(
        "The PROXY protocol header of a load balancer is not of version 1 or 2, is too long, or was not complete "
        "before the connection ended.",
        "Read in the log line's detail what is wrong, and correct the load balancer's settings.",
    ),
    Reason.PROXY_HEADER_NOT_ALLOWED: _handshake(
        "The connection begins with a PROXY protocol header, but no such header is allowed from its address.",
        "If it is your load balancer, add its networks to `cups.proxyProtocol.trustedCIDRs`.",
    ),
    Reason.PROXY_NOT_TRUSTED: _handshake(
        "A connection to the port for TLS-terminating proxies comes from an address outside their networks, or its "
        "certificate is not that of a proxy.",
        "Compare `cups.forwarded.trustedCIDRs`, `proxyNames` and `caSecretName` with the proxy. No other client may "
        "connect there.",
    ),
    Reason.FORWARDED_CERTIFICATE_INVALID: _handshake(
        "The header with which a proxy forwards a gateway's certificate cannot be used: the request has it twice, or "
        "also has a header of another form, or it is too long, or not in the form of `cups.forwarded.form`. The "
        "connection is closed.",
        "Read in the log line's detail what is wrong, and correct the proxy's settings.",
    ),
    Reason.HANDSHAKE_TIMEOUT: _handshake(
        "The client did not finish its TLS handshake in time.",
        "Check the network between gateway and server.",
    ),
    Reason.INVALID_SPEC: _resource(
        "The spec does not have the form that the CRD describes.", "Correct the field that the message names."
    ),
    Reason.MALFORMED_PEM: _resource(
        "The text is not a sequence of PEM certificates, or no certificate can be read.",
        "The message names the line and the field. Paste the file unchanged.",
    ),
    Reason.NO_CERTIFICATE: _resource("The text or object has no certificate.", "Give at least one PEM certificate."),
    Reason.TOO_MANY_CERTIFICATES: _resource(
        "There are more certificates than the limit allows.", "Split them over several resources."
    ),
    Reason.TOO_LARGE: _resource(
        "The text is larger than the limit allows.", "Make it shorter; the message names the limit."
    ),
    Reason.PRIVATE_KEY_IN_TRUSTED_CA: _resource(
        "There is a private key in a place for public certificates only. No part of it was published.",
        "Remove it, and treat that key as exposed: anyone who may read the resource has it.",
    ),
    Reason.NOT_A_CERTIFICATE_AUTHORITY: _resource(
        "An anchor or intermediate is not a CA certificate (basic constraints CA:TRUE). As an anchor, a self-signed "
        "v1 root is allowed too.",
        "Give the certificate that signs the gateways' certificates, not a gateway's own.",
    ),
    Reason.KEY_KIND_UNSUPPORTED: _resource(
        "A certificate has an unsupported kind of key, such as DSA. Supported are RSA, EC, Ed25519 and Ed448.",
        "Issue it with RSA of 2048 bits or more, P-256, P-384 or Ed25519.",
    ),
    Reason.CURVE_UNSUPPORTED: _resource(
        "A certificate has a key on a curve that OpenSSL does not support, or with explicit curve parameters.",
        "Issue it with P-256, P-384 or P-521, as a named curve.",
    ),
    Reason.ANCHOR_EXPIRED: _resource("Every anchor has expired.", "Give a valid CA certificate."),
    Reason.MALFORMED_CRL: _resource(
        "The CRL cannot be read.",
        "Give the issuer's CRL as PEM or DER; the message says which one cannot be read.",
    ),
    Reason.CRL_UNSUPPORTED: _resource(
        "The CRL is of an unsupported kind: indirect, delta, partial, or with an unknown critical extension.",
        "Give the issuer's complete, direct CRL; the message names the kind.",
    ),
    Reason.CRL_ISSUER_UNKNOWN: _resource(
        "The CRL's issuer is not among the TrustedCA's anchors and intermediates.",
        "Move the CRL to the TrustedCA of its issuer, or add that issuer to `intermediates`.",
    ),
    Reason.CRL_SIGNATURE_INVALID: _resource(
        "The key of the CRL's issuer did not sign the CRL.",
        "Fetch the CRL again, and check that the issuer's certificate has the key that signs its CRLs now.",
    ),
    Reason.CRL_SIGNER_NOT_ALLOWED: _resource(
        "The CRL's issuer has a key usage without cRLSign. Only that CRL is ignored; a note in `Accepted` says so.",
        "Issue the CA's certificate again with cRLSign. Until then, revoke by `serials` or `sha256Fingerprints`.",
    ),
    Reason.CRL_NOT_YET_VALID: _resource(
        "The CRL's thisUpdate is in the future.", "Check the clocks of the CA and of the cluster."
    ),
    Reason.SUSPENDED: _resource("The spec suspends the resource.", "Set `spec.suspended` to false to use it again."),
    Reason.BEING_DELETED: _resource(
        "The resource is being deleted, and a finalizer still holds it. It is not in force.",
        "Do nothing, or remove the finalizer. A deletion cannot be undone: create the resource again to use it.",
    ),
    Reason.EUI_CONFLICT: _resource(
        "An older Gateway of the namespace has the same EUI; or another namespace had the EUI before, and one "
        "TrustedCA, key or token serves both.",
        "Within one namespace, delete one of the two Gateways; the message names the other. For an EUI of another "
        "namespace, a person must hand it over: see `docs/resources.md`.",
    ),
    Reason.EUI_RANGE_INVALID: _resource(
        "An entry of `euiRanges` is not a prefix such as `0102030405000000/40`.",
        "Write 16 hex digits, a slash and the number of leading bits. The bits after them must be zero.",
    ),
    Reason.LNS_MISSING: _resource(
        "The Gateway names neither an LNS nor another CUPS server, and no GatewayDefaults gives it a usable LNS.",
        "Set `spec.lns.uri`, or create or correct the GatewayDefaults of its namespace or of the release's namespace.",
    ),
    Reason.TOKEN_MISSING_FOR_EUI: _resource(
        "The GatewayDefaults of the Gateway's LNS takes tokens by EUI from a Secret, and the Secret has none for this "
        "EUI.",
        "Add the key that the message names: the EUI, or `NAMESPACE.EUI` in the release's Secret for other namespaces.",
    ),
    Reason.URI_INVALID: _resource(
        "A Basics Station cannot use a URI.",
        "Write `wss://host:port`, for CUPS `https://host:port`: with a port, without a path, at most 127 characters.",
    ),
    Reason.TRUST_MISSING: _resource(
        "A `wss` LNS, or a CUPS server with credentials, has no trust anchor. A Basics Station cannot verify it "
        "without one.",
        "Add `trust` or `trustFrom` next to the URI.",
    ),
    Reason.TRUST_AMBIGUOUS: _resource(
        "There is more than one trust anchor, but a Basics Station uses exactly one.",
        "Keep only the root CA of the server.",
    ),
    Reason.TOKEN_INVALID: _resource(
        "The token is empty, too long, or has characters that are not allowed in an HTTP header.",
        "Store only the token, in one line of printable ASCII.",
    ),
    Reason.TOKEN_TOO_SHORT: _resource(
        "A token of `client.tokens` has fewer than 16 bytes after a word such as `Bearer`: it could be guessed.",
        "Make a random one, for example with `openssl rand -hex 32`.",
    ),
    Reason.CERTIFICATE_UNUSABLE: _resource(
        "The TLS of a Basics Station cannot use a certificate.",
        "Issue it with RSA of 2048 bits or more, P-256, P-384 or P-521, and SHA-256 or better. The message says what "
        "is wrong with it.",
    ),
    Reason.PRIVATE_KEY_UNUSABLE: _resource(
        "A private key cannot be read, or a Basics Station cannot use it.",
        "Give one RSA key of 2048 to 4096 bits, or one of P-256, P-384 or P-521, without encryption, in PEM or DER.",
    ),
    Reason.PRIVATE_KEY_MISMATCH: _resource(
        "The private key does not belong to the client certificate.",
        "Put the certificate and the key that belong together into the Secret, with the end-entity certificate first.",
    ),
    Reason.CLIENT_CERTIFICATE_IS_CA: _resource(
        "The certificate that gateways would get with its key is a CA certificate (CA:TRUE).",
        "Issue an end-entity certificate for the gateways, and name its Secret. No part of the CA's Secret was sent.",
    ),
    Reason.PRIVATE_KEY_OF_CA: _resource(
        "The private key that gateways would get belongs to an anchor or intermediate of a TrustedCA.",
        "Make a separate key for the gateways. Never share a key with a CA.",
    ),
    Reason.WOULD_BE_REFUSED: _resource(
        "`cups` leads to this release's own CUPS, which would refuse the gateway with the credentials of `cups.auth`.",
        "The message says why. A certificate must come from a TrustedCA in the Gateway's scope, be for its EUI, and "
        "be in `client.sha256Fingerprints` if that is set. A token must be in `client.tokens`.",
    ),
    Reason.CREDENTIALS_UNUSABLE: _resource(
        "A Basics Station cannot split the credential blob into its parts again.",
        "The message names the part. Issue that certificate or key again.",
    ),
    Reason.REFERENCE_NOT_FOUND: _resource(
        "A Secret or ConfigMap that the spec names does not exist.", "Create it in the same namespace."
    ),
    Reason.REFERENCE_NOT_LABELLED: _resource(
        "A Secret that the spec names does not have the label for this use: `stationkeeper.io/credentials` for "
        "credentials "
        'and tokens of gateways, `stationkeeper.io/trust` for certificates and CRLs; each with the value `"true"`.',
        "Set the label if the Secret may be used for that. Better: keep certificates and CRLs in a ConfigMap.",
    ),
    Reason.REFERENCE_KEY_MISSING: _resource(
        "The Secret or ConfigMap lacks the key that the spec names.",
        "Name an existing key; the message names the missing one.",
    ),
    Reason.CAPACITY_EXCEEDED: _resource(
        "The namespace would use more than its share of the published Secret, and there is no free space beyond the "
        "shares.",
        "Delete resources of this namespace that you do not need; see Capacity in `docs/operation.md`.",
    ),
    Reason.MALFORMED_DOCUMENT: _load(
        "A document does not have the form of the contract.", "Check which other program writes the Secret."
    ),
    Reason.DIGEST_MISMATCH: _load(
        "A document's payload does not have the digest in its header.", "Check which other program writes the Secret."
    ),
    Reason.UNKNOWN_CONTRACT: _load(
        "A document has a contract version that this CUPS does not know.",
        "Upgrade CUPS to the version of the operator.",
    ),
    Reason.WRONG_DOCUMENT: _load(
        "A Secret or file holds another document than its name says.",
        "Check which other program writes the Secret, and the bucket count.",
    ),
    Reason.OLDER_GENERATION: _load("A document is older than the one in force.", "Check who restored an old Secret."),
    Reason.NOT_FROM_OPERATOR: _load(
        "A message on the internal port is not signed with the operator's key.",
        "If the Secret of the operator's key has just changed, wait for the kubelets. Otherwise an attacker has the "
        "internal token: replace it.",
    ),
    Reason.DOCUMENT_MISSING: _load("A document is missing.", "Check that the operator runs and holds the Lease."),
    Reason.SERVER_CERTIFICATE_INVALID: _load(
        "The server's certificate and key cannot be used.",
        "Check the TLS Secret: a PEM chain that a Basics Station accepts, and the matching key.",
    ),
    Reason.SERVER_ROOT_CHANGED: _load(
        "The server's new chain ends in another root than the chain in force, which stays while it is valid.",
        "Issue the certificate from the old root; or first move the gateways with `spec.cups`, then allow the change.",
    ),
}
