"""What every reason means, whose fault it is and what to do about it, in one table; `docs/reasons.md` is made of it."""

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
        "The body is not the JSON object that the protocol describes.",
        "Send a JSON object; see the protocol's field types.",
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
        "The path is not one that CUPS serves.",
        "Use `POST /update-info`; the CUPS URI of a gateway has no path.",
    ),
    Reason.METHOD_NOT_ALLOWED: _request(405, "The method is not POST.", "Use `POST /update-info`."),
    Reason.MALFORMED_CERTIFICATE: _request(
        403, "The client certificate cannot be read.", "Issue a new certificate for the gateway."
    ),
    Reason.COMMON_NAME_NOT_EUI: _request(
        403,
        "The client certificate does not have exactly one Common Name of 16 hex digits.",
        "Issue a certificate whose CN is the gateway's EUI-64, and nothing else.",
    ),
    Reason.COMMON_NAME_MISMATCH: _request(
        403,
        "The client certificate was issued for another EUI than the request's `router`.",
        "Install the certificate that was issued for this gateway.",
    ),
    Reason.GATEWAY_NOT_REGISTERED: _discreet(
        404, "There is no accepted Gateway with this EUI.", "Apply a Gateway with this EUI."
    ),
    Reason.GATEWAY_SUSPENDED: _discreet(
        403, "The Gateway is suspended.", "Set `spec.suspended` to false to let it in again."
    ),
    Reason.NO_TRUSTED_CA: _discreet(
        403,
        "No TrustedCA in force vouches for the client certificate any more.",
        "Apply a TrustedCA that holds its issuer.",
    ),
    Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE: _discreet(
        403,
        "Only a TrustedCA of another namespace vouches for the client certificate.",
        "Put the TrustedCA into the Gateway's namespace, or have one of the release's namespace serve it "
        "(`spec.serves`).",
    ),
    Reason.TRUSTED_CA_NOT_ALLOWED: _discreet(
        403,
        "The Gateway's `client.trustedCAs` does not name the TrustedCA that vouches for the certificate.",
        "Name that TrustedCA, or use a certificate of one that is named.",
    ),
    Reason.EUI_OUT_OF_RANGE: _discreet(
        403,
        "The EUI lies outside the `euiRanges` of the TrustedCA that vouches for the certificate.",
        "Widen the ranges if this CA may speak for the gateway.",
    ),
    Reason.CERTIFICATE_NOT_PINNED: _discreet(
        403,
        "The certificate is not among the Gateway's `client.sha256Fingerprints`.",
        "Add the certificate's SHA-256 fingerprint, or use one that is listed.",
    ),
    Reason.CERTIFICATE_REVOKED: _discreet(
        403,
        "The certificate, or a certificate of its chain, is revoked by the TrustedCA.",
        "Issue a new certificate for the gateway.",
    ),
    Reason.TOKEN_MISSING: _request(
        403,
        "The client sent neither a certificate nor an `Authorization` header.",
        "Install a client certificate on the gateway, or one of the tokens of its Gateway's `client.tokens`.",
    ),
    Reason.TOKEN_REFUSED: _discreet(
        403,
        "The token does not open the gateway that the request names.",
        "The log line's detail says why: no such Gateway, suspended, without tokens, or another token.",
    ),
    Reason.CRL_EXPIRED: _discreet(
        403,
        "The CRL of an issuer of the chain has passed its next update, and the TrustedCA says `crlExpired: Refuse`. "
        "Under `Warn` it is only an event and a note.",
        "Publish a new CRL in `spec.revocation`; until then none of that issuer's certificates is accepted.",
    ),
    Reason.CERTIFICATE_TOO_WEAK: _discreet(
        403,
        "A key or signature of the chain is too weak (RSA below 2048 bits, SHA-1). Where no TrustedCA allows that, the "
        "handshake refuses it already.",
        "Issue it with RSA 2048 or P-256 and SHA-256, or better; or set `weakSignatures: Allow` on the TrustedCA.",
    ),
    Reason.FORWARDED_CERTIFICATE_NOT_ALLOWED: _request(
        403,
        "A request on the port of gateways has a header that only proxies that end TLS send, to a port of their own.",
        "Have the proxy connect to the port in `cups.forwarded`; a gateway sends no such header.",
    ),
    Reason.TRUST_BUDGET_SPENT: ReasonInfo(
        Fault.REQUEST,
        "More paths from the certificate to trust anchors are possible than one decision may try, and none of those "
        "that were tried verifies; the connection is closed, or its handshake refused.",
        "Give the TrustedCAs of the namespace fewer certificates with the same subject, and the certificates key "
        "identifiers.",
        discreet=True,
    ),
    Reason.CLIENT_CERTIFICATE_MISSING: _handshake(
        "The client sent no certificate.", "Install a client certificate on the gateway."
    ),
    Reason.UNKNOWN_CA: _handshake(
        "No TrustedCA in force holds the issuer of the client certificate.",
        "Apply a TrustedCA with the issuer; where only the root is configured, give the intermediates too.",
    ),
    Reason.CERTIFICATE_EXPIRED: _handshake(
        "The client certificate, or one of its chain, has expired.",
        "Renew it; check the clock of this server.",
    ),
    Reason.CERTIFICATE_NOT_YET_VALID: _handshake(
        "The client certificate, or one of its chain, is not valid yet.",
        "Check the clocks of issuer and server.",
    ),
    Reason.CERTIFICATE_WRONG_PURPOSE: _handshake(
        "The certificate's extended key usage does not allow client authentication.",
        "Issue it with `clientAuth`, or without an extended key usage.",
    ),
    Reason.CERTIFICATE_INVALID: _handshake(
        "The client certificate's chain does not verify.", "The log line's detail names what OpenSSL found."
    ),
    Reason.HANDSHAKE_FAILED: _handshake(
        "The TLS handshake failed before the certificate was judged.",
        "The log line's detail names what OpenSSL found; a port scan or a plain HTTP client looks like this.",
    ),
    Reason.CONNECTION_UNUSED: _handshake(
        "The client connected and left before it sent a byte, as a TCP health check does. That is no refusal: it is "
        "logged at DEBUG and not counted.",
        "Nothing.",
    ),
    Reason.PROXY_HEADER_MISSING: _handshake(
        "The connection comes from an address that must send a PROXY protocol header first, and does not begin with "
        "one.",
        "Have the load balancer send the header, or take the address out of `cups.proxyProtocol.trustedCIDRs`.",
    ),
    Reason.PROXY_HEADER_INVALID: _handshake(
        "The PROXY protocol header of a load balancer is not as versions 1 and 2 are, is too long or was not complete "
        "before the connection ended.",
        "The log line's detail names what is wrong; look at the load balancer's settings.",
    ),
    Reason.PROXY_HEADER_NOT_ALLOWED: _handshake(
        "The connection begins with a PROXY protocol header but comes from an address that none is taken from.",
        "If it is your load balancer, put its networks into `cups.proxyProtocol.trustedCIDRs`.",
    ),
    Reason.PROXY_NOT_TRUSTED: _handshake(
        "A connection to the port for proxies that end TLS comes from an address that no proxy has, or its certificate "
        "is not a proxy's.",
        "Compare `cups.forwarded.trustedCIDRs`, `proxyNames` and `caSecretName` with the proxy; anybody else is a "
        "stranger there.",
    ),
    Reason.FORWARDED_CERTIFICATE_INVALID: _handshake(
        "The header in which a proxy forwards a gateway's certificate is there twice, beside one of another form, too "
        "long, or not as `cups.forwarded.form` is. The connection is closed.",
        "The log line's detail names what is wrong; look at the proxy's settings.",
    ),
    Reason.HANDSHAKE_TIMEOUT: _handshake(
        "The client did not finish its TLS handshake in time.",
        "Check the network between gateway and server.",
    ),
    Reason.INVALID_SPEC: _resource(
        "The spec does not have the form that the CRD describes.", "The message names the field."
    ),
    Reason.MALFORMED_PEM: _resource(
        "The text is not a sequence of PEM certificates, or none of them can be read.",
        "The message says at which line, and which field; paste the file as it is.",
    ),
    Reason.NO_CERTIFICATE: _resource("There is no certificate in it.", "Give at least one PEM certificate."),
    Reason.TOO_MANY_CERTIFICATES: _resource(
        "There are more certificates than the bound allows.", "Split it over several resources."
    ),
    Reason.TOO_LARGE: _resource("The text is larger than the bound allows.", "The message names the bound."),
    Reason.PRIVATE_KEY_IN_TRUSTED_CA: _resource(
        "There is a private key where only public certificates may be. Nothing of it was published.",
        "Remove it, and treat that key as exposed: anyone who may read the resource has it.",
    ),
    Reason.NOT_A_CERTIFICATE_AUTHORITY: _resource(
        "A configured anchor or intermediate is neither a CA certificate (basic constraints CA:TRUE) nor, as an "
        "anchor, a v1 root that signs itself.",
        "Configure the certificate that signs the gateways' certificates, not a gateway's own.",
    ),
    Reason.KEY_KIND_UNSUPPORTED: _resource(
        "A certificate has a key of a kind that is not taken: neither RSA nor EC, Ed25519 or Ed448. DSA is one.",
        "Issue it with RSA of 2048 bits or more, P-256, P-384 or Ed25519.",
    ),
    Reason.CURVE_UNSUPPORTED: _resource(
        "A certificate has a key on a curve that OpenSSL does not take, or that is given by numbers instead of a name.",
        "Issue it with P-256, P-384 or P-521, and with the curve by its name.",
    ),
    Reason.ANCHOR_EXPIRED: _resource(
        "Every configured anchor has expired.", "Configure a CA certificate that is valid."
    ),
    Reason.MALFORMED_CRL: _resource(
        "What should be a CRL cannot be read as one.",
        "Give the issuer's CRL as PEM or DER; the message says which is broken.",
    ),
    Reason.CRL_UNSUPPORTED: _resource(
        "The CRL is of a kind from which revocation cannot be told: indirect, delta, partial, or with a critical "
        "extension that is unknown here.",
        "Give the issuer's complete, direct CRL; the message names the kind.",
    ),
    Reason.CRL_ISSUER_UNKNOWN: _resource(
        "The CRL's issuer is none of the TrustedCA's anchors and intermediates.",
        "Give the CRL to the TrustedCA of its issuer, or add that issuer to `intermediates`.",
    ),
    Reason.CRL_SIGNATURE_INVALID: _resource(
        "The CRL is not signed by the key of the issuer that it names.",
        "Fetch the CRL anew; check that the issuer's certificate is the one whose key is in use.",
    ),
    Reason.CRL_SIGNER_NOT_ALLOWED: _resource(
        "The CRL's issuer has a key usage without cRLSign: that CRL alone is left out, as a note in `Accepted` says.",
        "Have the CA's certificate issued anew with cRLSign; until then revoke by `serials` or `sha256Fingerprints`.",
    ),
    Reason.CRL_NOT_YET_VALID: _resource(
        "The CRL's thisUpdate lies in the future.", "Check the clocks of the CA and of the cluster."
    ),
    Reason.SUSPENDED: _resource(
        "The resource is suspended by its spec.", "Set `spec.suspended` to false to use it again."
    ),
    Reason.BEING_DELETED: _resource(
        "The resource is being deleted and a finalizer still holds it: nothing of it is in force.",
        "Nothing, or clear the finalizer; a deletion cannot be taken back, create it anew to use it again.",
    ),
    Reason.EUI_CONFLICT: _resource(
        "An older Gateway of the namespace has the same EUI, or another namespace had it before and one TrustedCA, key "
        "or token serves both.",
        "In one namespace delete one of the two, the message names the other; from another namespace a person has to "
        "hand the EUI over, see the docs on resources.",
    ),
    Reason.EUI_RANGE_INVALID: _resource(
        "An entry of `euiRanges` is not a prefix such as `0102030405000000/40`.",
        "Write 16 hex digits, a slash and the number of leading bits; the bits after them must be zero.",
    ),
    Reason.LNS_MISSING: _resource(
        "The Gateway names neither an LNS nor another CUPS server, and no GatewayDefaults gives it an LNS that can be "
        "used.",
        "Give `spec.lns.uri`, or make or mend the GatewayDefaults of its namespace or of the release's.",
    ),
    Reason.TOKEN_MISSING_FOR_EUI: _resource(
        "The GatewayDefaults that gives the Gateway's LNS takes tokens from a Secret by EUI, which has none for it.",
        "Add the key that the message names: the EUI, or `NAMESPACE.EUI` in a release's Secret for other namespaces.",
    ),
    Reason.URI_INVALID: _resource(
        "A URI is not one that a Basics Station can use.",
        "Write `wss://host:port`, for CUPS `https://host:port`: port mandatory, no path, at most 127 characters.",
    ),
    Reason.TRUST_MISSING: _resource(
        "A `wss` LNS, or a CUPS server that is given credentials, has no trust anchor, without which a Basics Station "
        "cannot verify it.",
        "Give `trust` or `trustFrom` beside the URI.",
    ),
    Reason.TRUST_AMBIGUOUS: _resource(
        "There is more than one trust anchor: a Basics Station takes exactly one.",
        "Keep the one root that signs the server.",
    ),
    Reason.TOKEN_INVALID: _resource(
        "The token has characters that cannot stand in an HTTP header, is empty, or is too long.",
        "Store the token alone, in one line of printable ASCII.",
    ),
    Reason.TOKEN_TOO_SHORT: _resource(
        "A token of `client.tokens` has fewer than 16 bytes after a word such as `Bearer`: it could be guessed.",
        "Make one at random, such as by `openssl rand -hex 32`.",
    ),
    Reason.CERTIFICATE_UNUSABLE: _resource(
        "A certificate is one that the TLS of a Basics Station cannot use.",
        "Issue it with RSA of 2048 bits or more, P-256, P-384 or P-521, and SHA-256 or better; the message says what "
        "is wrong with it.",
    ),
    Reason.PRIVATE_KEY_UNUSABLE: _resource(
        "A private key is one that a Basics Station cannot use, or cannot be read.",
        "Give one RSA key of 2048 to 4096 bits, or one of P-256, P-384 or P-521, not encrypted, in PEM or DER.",
    ),
    Reason.PRIVATE_KEY_MISMATCH: _resource(
        "The private key does not belong to the client certificate.",
        "Put both of one issuance into the Secret, and the end-entity certificate first.",
    ),
    Reason.CLIENT_CERTIFICATE_IS_CA: _resource(
        "The certificate that gateways would be given with its key is that of a certificate authority (CA:TRUE).",
        "Issue a certificate for the gateways, and name that. Nothing of the CA's Secret was sent.",
    ),
    Reason.PRIVATE_KEY_OF_CA: _resource(
        "The private key that gateways would be given is that of a TrustedCA's anchor or intermediate.",
        "Make a key for the gateways, and never share one with a CA.",
    ),
    Reason.WOULD_BE_REFUSED: _resource(
        "`cups` leads to this release's own CUPS, which would refuse the gateway with the credentials of `cups.auth`.",
        "The message says why: have the certificate issued by a TrustedCA in the Gateway's scope, for its EUI, and"
        " list it in `client.sha256Fingerprints` where that pins; list a token in `client.tokens`.",
    ),
    Reason.CREDENTIALS_UNUSABLE: _resource(
        "The credentials, put together, are not what a Basics Station can cut into its parts again.",
        "The message says which part; issue that certificate or key anew.",
    ),
    Reason.REFERENCE_NOT_FOUND: _resource(
        "A Secret or ConfigMap that the spec names does not exist.", "Create it in the same namespace."
    ),
    Reason.REFERENCE_NOT_LABELLED: _resource(
        "A Secret that the spec names does not carry the label for this use: `stationkeeper.io/credentials` for what "
        'gateways are given and for their tokens, `stationkeeper.io/trust` for certificates and CRLs; each `"true"`.',
        "Label it if it may be used for that; better, keep certificates and CRLs in a ConfigMap.",
    ),
    Reason.REFERENCE_KEY_MISSING: _resource(
        "The Secret or ConfigMap lacks the key that the spec names.",
        "Name an existing key; the message says which is missing.",
    ),
    Reason.CAPACITY_EXCEEDED: _resource(
        "Its namespace would have more than its share of the Secret that it belongs to, and there is no room beyond.",
        "Delete resources of this namespace that are not needed; see Capacity in `docs/operation.md`.",
    ),
    Reason.MALFORMED_DOCUMENT: _load(
        "A document is not in the form of the contract.", "Check who else writes the Secret."
    ),
    Reason.DIGEST_MISMATCH: _load(
        "A document's payload does not have the digest it claims.", "Check who else writes the Secret."
    ),
    Reason.UNKNOWN_CONTRACT: _load(
        "A document has a contract version that this CUPS does not know.",
        "Upgrade CUPS to the version of the operator.",
    ),
    Reason.WRONG_DOCUMENT: _load(
        "A document is not the one that belongs in its place.",
        "Check who else writes the Secret, and the bucket count.",
    ),
    Reason.OLDER_GENERATION: _load("A document is older than the one in force.", "Check who restored an old Secret."),
    Reason.NOT_FROM_OPERATOR: _load(
        "What the internal port was handed is not signed with the operator's key.",
        "If the Secret of the operator's key has just changed, wait for the kubelets. Else somebody has the internal "
        "token: replace it.",
    ),
    Reason.DOCUMENT_MISSING: _load("A document is not there yet.", "Check that the operator runs and leads."),
    Reason.SERVER_CERTIFICATE_INVALID: _load(
        "The server's certificate and key cannot be used.",
        "Check the TLS Secret: a PEM chain, of a kind that a Basics Station accepts, and the key that matches it.",
    ),
    Reason.SERVER_ROOT_CHANGED: _load(
        "The server's new chain ends in another root than the one in force, which stays while it is valid.",
        "Issue it from the old root, or move the gateways by `spec.cups` first and then allow the change.",
    ),
}
