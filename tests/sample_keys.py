"""RSA keys of the sample PKI for tests: made in 0.3 ms from fixed primes; random ones take 70 ms.

Each process of the tests makes thirty of them and more. A process uses each key only once. The keys share primes, so
they are safe only for tests.
"""

from collections.abc import Callable, Iterator
from itertools import combinations

from cryptography.hazmat.primitives.asymmetric import rsa

from stationkeeper_tools import sample_pki
from tests.core.private_keys import rsa_of

MADE_ANEW: Callable[[], rsa.RSAPrivateKey] = sample_pki._rsa_key
"""The function with which the sample PKI makes keys outside of tests."""
_PRIMES = (
    "c5b75992dd4cf501abb423252b7b082a1a1d8e11c72f73586b6cf77a16cf97cf164cf2e6a0a086b9f3fed00ca0a41ce799b398c4d73ec142"
    "0f89e92a9f6692107da650042b69727d95df7f7d5981d547371e4c64a722651c29ee78827bdb0ddc0c9aa1fd4d5a5894409ff51482033bc9"
    "eea2d79af55ae4b9a5fd276c26c7b963",
    "f42552da6a91b7b9bef8807168ea40ff43e7db64499ab4b1ea12ddb742439062d50ac6453958f0981d018a50ab99552d099849bfd6f7d350"
    "1bb1040114bfb18f65c9b226e44f447239d879217f3b2fe7b1a278ff9be1f34d33d2eea55635d3106b0b92da775e3c481558b6e8f5f088fa"
    "ae48765d9e325cfb916bf55d59ceee27",
    "e9368d6ed097cea8d3800e109dd14be1347652a9d3991149335c71ea0eb1d1acbef85d2ad2c37611e4d917ffd468252ab1ee3110b705f41b"
    "5e5127c13fd971e885386d9fadfa412351db7c82c49943cf77017696618f60617b8f3c4dc0df25e57feed047f5fbe56cee492f27b70dce98"
    "a8f36b9d5addc4f4cc3fc6e3d3d1944d",
    "c8fe076d64dd0b824ec6d2788528eaabe2fc0b392801e9bfdb06e232e01e9a1805d75476e1fa80c84ab127cba5f02db2c5be7dc075a787d7"
    "01fbaccc70fb3939e67e94dc38138aefdba6d2bf1bd6812745bdafcf8cf47d89286870fa25bb93c399469c5e86e3118850bdefb025fe1153"
    "1ba447db9c9e78389c5fd8fa99ae99ff",
    "d4ee1562f627870832c980a2c3fdd61fccf30698f338ef64e2cbd5ed26397b530420dd6a829d3189bf80c7db215be35ec4eb34536617a6ea"
    "7e4a90e31bec5d2f2da45164080bdd67841762cfd83dc59421a4d915f1ed19d6de0f8c506875d14a28db2be00c1ed29ebe7bf1700d2a2e7e"
    "ee4f7b04270102fe99d99f309a442c13",
    "c4f6e6db075d8b35c0153533ba39a047f47cab69dbfda84e86f3e20e8fff9b7fdbdd3502eab0532d6024b0e27ac2626d6926dbb1cecdf72e"
    "d4dcb0babe934373fb39f6966bb822e96e8979a261e0c07f68436567f7597e6f21135bf26a8bca6d7678cbb8e2fa67d2937340489390ae8b"
    "e424e4923b00466189db830ab0dc9d57",
    "f135bac57cff4a32cf21a1eea7f83acf690a34f18aa0044262372de3da3359d8107432fa38d4594c9b8ca19fae8c764b804e4d629c8686c6"
    "0f2f2750bfcaa1b0f5d4637c1358653f07c5639d7f3575aed881e9792e5dd6902c06f4c17bfcbb56ee82c33892c6a2198f5b6da1d5929e91"
    "c4153163480755bd20095a8aac21433d",
    "d05c689096148518debfa7051e5eea03d840c647afdaec06db2e00bf914dafb5f8b0b8009e8ee992ccac523a7d4bbe8c9397a2df2899f41c"
    "ce751949dbb14dea07992ec9bf699124ccfcd320a6af1af75bb9b3f02435f7c25c5c3e66245715a9c3a6bca73180af987aa18b929a04c328"
    "7ca87b0fc4957fe534d5aaeec77ec459",
    "fbf31b07a0ce1a8d429cb448dc39717a75df530ecc94050694689fadb277e8248baed1053501580918485378fb25929492ed9a36faf4e81b"
    "5c943319e2974eaca3199c7d4b04d72074249b7b3d416d26659037c03accb3213d01515ee10939262dd742bf2d132493aedf9ee98271b27a"
    "b66c4431ef89896d722ed9e6ccd205d9",
    "f56331ca8df312ad77d2572c0a87736127fa8f069f031ba7effa0843f57574190fe8e0fcc56d69d32eb61c33afcc27982c81ace39540f3bc"
    "ddeb32495c40f7dd008afca81f64e58b300a2320029ec883b668f3a2b9f9f2f808c575b59f711989272f06dccdc14dd88ef4aee362c5884e"
    "eed3f476ce5e653e64196e05888331f3",
    "fbc89516216a2344114e59d987b7f5b4fec574b23991f65aa7543769c82f8c2a923ce7af86bdd61bb94f14d191467c9451dcd60ef66caf00"
    "a3947a7b9ccc7f7a13133818ad8cb88e9ac4e3ae592c7f9f8b7692052c7c5129a86a9f1ced9cf685f419e80825df5bf6c84ad5185734d60b"
    "e1f9944884990c89e38197c960fc6c83",
    "c2e1a6091415ee410c4c39945cbec566ba721f674f6e17d87988da5c33709a552190533be4ebd0ad4ecbb21fa62b6685c62754058a15fe0e"
    "5301076b86dc9d373a56010c525e9b7de705873b1d02d7282771787a7c33cd62b13c4a8fe00094391f4d291e55f043f247211fa07404addb"
    "5f4bc52dfddf99f78e6b8655a4dcc75d",
)


class SampleKeys:
    """Returns another key of 2048 bits with each call; random ones after all pairs of primes are used."""

    def __init__(self) -> None:
        numbers = [int(each, 16) for each in _PRIMES]
        self._pairs: Iterator[tuple[int, int]] = combinations(numbers, 2)

    def __call__(self) -> rsa.RSAPrivateKey:
        pair = next(self._pairs, None)
        return rsa_of(*pair) if pair else MADE_ANEW()
