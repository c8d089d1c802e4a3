"""The security headers of every answer: a browser must load nothing, run nothing, use no frame and keep no copy."""

from collections.abc import Mapping

from stationkeeper_tools.page.rendering import STYLE_HASH

_POLICY = (
    "default-src 'none'",
    f"style-src 'sha256-{STYLE_HASH}'",
    "img-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
    "Server": "stationkeeper",
}
