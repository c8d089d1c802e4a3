"""Real proxies in front of the port for proxies, each configured as `docs/load-balancers.md` says."""

import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from stationkeeper_cups.forwarded.headers import Form
from stationkeeper_tools.ports import free_port
from stationkeeper_tools.sample_pki import KeyPair
from tests.cups.client import Client, until
from tests.cups.forwarding import CLIENT, Behind, Proxies, behind_proxies, header, told
from tests.cups.pki import Pki
from tests.cups.proxies import envoy, haproxy, needs_envoy, needs_haproxy, needs_nginx, needs_traefik, nginx, traefik


@pytest.fixture(scope="session")
def proxies() -> Proxies:
    return Proxies.make()


def _nginx(behind: Behind, port: int) -> AbstractContextManager[None]:
    folder = behind.folder
    return nginx(
        folder,
        f"""
        server {{
            listen 127.0.0.1:{port} ssl;
            ssl_certificate {folder}/front.crt; ssl_certificate_key {folder}/front.key;
            ssl_protocols TLSv1.2 TLSv1.3; ssl_verify_client optional_no_ca;
            location = /update-info {{
                proxy_pass https://127.0.0.1:{behind.port};
                proxy_ssl_certificate {folder}/proxy.crt; proxy_ssl_certificate_key {folder}/proxy.key;
                proxy_ssl_trusted_certificate {folder}/cups-ca.crt; proxy_ssl_verify on; proxy_ssl_name localhost;
                proxy_set_header Host $http_host;
                proxy_set_header ssl-client-cert $ssl_client_escaped_cert;
                proxy_set_header X-Forwarded-For $remote_addr;
                error_page 502 504 = @drop;
            }}
            location @drop {{ return 444; }}
        }}
        """,
        port,
    )


def _haproxy(behind: Behind, port: int) -> AbstractContextManager[None]:
    folder = behind.folder
    for name in ("front", "proxy"):
        texts = [(folder / f"{name}.{kind}").read_bytes() for kind in ("crt", "key")]
        (folder / f"{name}.pem").write_bytes(b"\n".join(texts))
    (folder / "empty.http").touch()
    any_ca = f"ca-file {folder}/cups-ca.crt ca-ignore-err all crt-ignore-err all"
    lines = [
        "listen gateways",
        "  mode http",
        f"  bind 127.0.0.1:{port} ssl crt {folder}/front.pem verify optional {any_ca}",
        "  http-request del-header ssl-client-cert",
        "  http-request del-header x-forwarded-client-cert",
        "  http-request set-header x-forwarded-tls-client-cert %[ssl_c_der,base64] if { ssl_c_used }",
        "  http-request del-header x-forwarded-tls-client-cert unless { ssl_c_used }",
        "  http-request set-header x-forwarded-for %[src]",
        *(f"  errorfile {status} {folder}/empty.http" for status in (502, 503, 504)),
        f"  server cups 127.0.0.1:{behind.port} ssl crt {folder}/proxy.pem ca-file {folder}/cups-ca.crt"
        " verifyhost localhost sni str(localhost)",
    ]
    return haproxy(folder, "\n".join(lines) + "\n", port)


def _envoy(behind: Behind, port: int) -> AbstractContextManager[None]:
    folder, types = behind.folder, "type.googleapis.com/envoy.extensions"

    def pair(name: str) -> list[object]:
        return [
            {
                "certificate_chain": {"filename": f"{folder}/{name}.crt"},
                "private_key": {"filename": f"{folder}/{name}.key"},
            }
        ]

    manager = {
        "@type": f"{types}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateways",
        "use_remote_address": True,
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"cert": True, "chain": True},
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "cups",
                    "domains": ["*"],
                    "request_headers_to_remove": ["ssl-client-cert", "x-forwarded-tls-client-cert"],
                    "routes": [{"match": {"path": "/update-info"}, "route": {"cluster": "cups"}}],
                }
            ]
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{types}.filters.http.router.v3.Router"}},
        ],
    }
    downstream = {
        "@type": f"{types}.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": True,
        "common_tls_context": {
            "tls_certificates": pair("front"),
            "validation_context": {"trust_chain_verification": "ACCEPT_UNTRUSTED"},
        },
    }
    upstream = {
        "@type": f"{types}.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": "localhost",
        "common_tls_context": {
            "tls_certificates": pair("proxy"),
            "validation_context": {
                "trusted_ca": {"filename": f"{folder}/cups-ca.crt"},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "localhost"}}],
            },
        },
    }

    def address(number: int) -> object:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    configuration = {
        "static_resources": {
            "listeners": [
                {
                    "address": address(port),
                    "filter_chains": [
                        {
                            "transport_socket": {"name": "tls", "typed_config": downstream},
                            "filters": [{"name": "http", "typed_config": manager}],
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "cups",
                    "type": "STATIC",
                    "load_assignment": {
                        "cluster_name": "cups",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(behind.port)}}]}],
                    },
                    "transport_socket": {"name": "tls", "typed_config": upstream},
                }
            ],
        }
    }
    return envoy(folder, configuration, port)


def _traefik(behind: Behind, port: int) -> AbstractContextManager[None]:
    folder = behind.folder

    def pair(name: str) -> list[object]:
        return [{"certFile": f"{folder}/{name}.crt", "keyFile": f"{folder}/{name}.key"}]

    configuration = {
        "http": {
            "routers": {
                "gateways": {
                    "rule": "Path(`/update-info`)",
                    "service": "cups",
                    "middlewares": ["forward", "only-traefik"],
                    "tls": {},
                }
            },
            "middlewares": {
                "forward": {"passTLSClientCert": {"pem": True}},
                "only-traefik": {
                    "headers": {"customRequestHeaders": {"ssl-client-cert": "", "x-forwarded-client-cert": ""}}
                },
            },
            "services": {
                "cups": {
                    "loadBalancer": {
                        "servers": [{"url": f"https://127.0.0.1:{behind.port}"}],
                        "serversTransport": "cups",
                    }
                }
            },
            "serversTransports": {
                "cups": {
                    "serverName": "localhost",
                    "rootCAs": [f"{folder}/cups-ca.crt"],
                    "certificates": pair("proxy"),
                }
            },
        },
        "tls": {
            "options": {"default": {"clientAuth": {"clientAuthType": "RequireAnyClientCert"}}},
            "stores": {"default": {"defaultCertificate": pair("front")[0]}},
        },
    }
    return traefik(folder, configuration, port)


@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("form", "run"),
    [
        pytest.param(Form.NGINX, _nginx, marks=needs_nginx, id="nginx"),
        pytest.param(Form.TRAEFIK, _haproxy, marks=needs_haproxy, id="haproxy"),
        pytest.param(Form.ENVOY, _envoy, marks=needs_envoy, id="envoy"),
        pytest.param(Form.TRAEFIK, _traefik, marks=needs_traefik, id="traefik"),
    ],
)
@pytest.mark.slow
async def test_behind_a_real_proxy_a_gateway_is_identified_by_its_certificate(
    tmp_path: Path,
    pki: Pki,
    proxies: Proxies,
    caplog: pytest.LogCaptureFixture,
    form: Form,
    run: Callable[[Behind, int], AbstractContextManager[None]],
    tls: ssl.TLSVersion,
) -> None:
    caplog.set_level("INFO")
    port = free_port()
    pki.server.write(tmp_path, "front")
    pki.server_ca.write(tmp_path, "cups-ca")
    proxies.known.write(tmp_path, "proxy")
    async with behind_proxies(tmp_path, pki, proxies, form) as behind:
        with run(behind, port):
            await _tried(behind, pki, port, tls, caplog)


async def _tried(behind: Behind, pki: Pki, port: int, tls: ssl.TLSVersion, caplog: pytest.LogCaptureFixture) -> None:
    def client(pair: KeyPair | None, chain: tuple[KeyPair, ...] = ()) -> Client:
        return behind.cups.client(pair, tls=tls, chain=chain, source=CLIENT).at(port)

    async def is_answered(who: Client, *headers: str) -> bool:
        return await who.alert(headers) == "answered with 200"

    # A proxy may listen before it has read its routes.
    await until(lambda: is_answered(client(pki.a_gateway)), "the gateway is answered")
    caplog.clear()
    assert await client(pki.a_gateway).alert() == "answered with 200"
    assert [who for who, _ in told(caplog, "answered")] == [CLIENT]
    caplog.clear()
    assert not await is_answered(client(pki.b_gateway))
    assert (CLIENT, "UnknownCA") in told(caplog, "handshake refused")
    # The proxy does not pass on its own headers from a client.
    for form in Form:
        forged = header(form, pki.a_gateway)
        assert not await is_answered(client(pki.b_gateway), forged)
        assert not await is_answered(client(None), forged)
