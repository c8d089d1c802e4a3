"""The elliptic curves that a key may use: those with a TLS number whose signatures OpenSSL verifies.

Source: SEC 2; RFC 5639; RFC 8422 and RFC 4492, section 5.1.1, for TLS.
"""

from types import MappingProxyType
from typing import NamedTuple


class Curve(NamedTuple):
    """A curve.

    Attributes:
        name: its name in SEC 2 and RFC 5639.
        bits: the size of its field.
        order: the order of its base point.
    """

    name: str
    bits: int
    order: int


CURVES = MappingProxyType(
    {
        bytes.fromhex(identifier): Curve(name, bits, order)
        for identifier, name, bits, order in (
            ("2a8648ce3d030107", "secp256r1", 256, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
            (
                "2b81040022",
                "secp384r1",
                384,
                int(
                    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
                    16,
                ),
            ),
            (
                "2b81040023",
                "secp521r1",
                521,
                int(
                    "1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
                    "ffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386"
                    "409",
                    16,
                ),
            ),
            ("2b81040021", "secp224r1", 224, 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFF16A2E0B8F03E13DD29455C5C2A3D),
            ("2a8648ce3d030101", "secp192r1", 192, 0xFFFFFFFFFFFFFFFFFFFFFFFF99DEF836146BC9B1B4D22831),
            ("2b81040020", "secp224k1", 224, 0x10000000000000000000000000001DCE8D2EC6184CAF0A971769FB1F7),
            ("2b8104000a", "secp256k1", 256, 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141),
            (
                "2b2403030208010107",
                "brainpoolP256r1",
                256,
                0xA9FB57DBA1EEA9BC3E660A909D838D718C397AA3B561A6F7901E0E82974856A7,
            ),
            (
                "2b240303020801010b",
                "brainpoolP384r1",
                384,
                int(
                    "8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565",
                    16,
                ),
            ),
            (
                "2b240303020801010d",
                "brainpoolP512r1",
                512,
                int(
                    "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870"
                    "553e5c414ca92619418661197fac10471db1d381085ddaddb58796829ca90069",
                    16,
                ),
            ),
            ("2b8104001a", "sect233k1", 233, 0x8000000000000000000000000000069D5BB915BCD46EFB1AD5F173ABDF),
            ("2b8104001b", "sect233r1", 233, 0x1000000000000000000000000000013E974E72F8A6922031D2603CFE0D7),
            ("2b81040003", "sect239k1", 239, 0x2000000000000000000000000000005A79FEC67CB6E91F1C1DA800E478A5),
            (
                "2b81040010",
                "sect283k1",
                283,
                int("1ffffffffffffffffffffffffffffffffffe9ae2ed07577265dff7f94451e061e163c61", 16),
            ),
            (
                "2b81040011",
                "sect283r1",
                283,
                int("3ffffffffffffffffffffffffffffffffffef90399660fc938a90165b042a7cefadb307", 16),
            ),
            (
                "2b81040024",
                "sect409k1",
                409,
                int(
                    "7ffffffffffffffffffffffffffffffffffffffffffffffffffe5f83b2d4ea20"
                    "400ec4557d5ed3e3e7ca5b4b5c83b8e01e5fcf",
                    16,
                ),
            ),
            (
                "2b81040025",
                "sect409r1",
                409,
                int(
                    "10000000000000000000000000000000000000000000000000001e2aad6a612f"
                    "33307be5fa47c3c9e052f838164cd37d9a21173",
                    16,
                ),
            ),
            (
                "2b81040026",
                "sect571k1",
                571,
                int(
                    "2000000000000000000000000000000000000000000000000000000000000000"
                    "0000000131850e1f19a63e4b391a8db917f4138b630d84be5d639381e91deb45"
                    "cfe778f637c1001",
                    16,
                ),
            ),
            (
                "2b81040027",
                "sect571r1",
                571,
                int(
                    "3fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
                    "fffffffe661ce18ff55987308059b186823851ec7dd9ca1161de93d5174d66e8"
                    "382e9bb2fe84e47",
                    16,
                ),
            ),
        )
    }
)
"""The curves by the content of their object identifiers."""
CURVES_BY_NAME = MappingProxyType({each.name: each for each in CURVES.values()})
