# pyhsslms 2.0: HSS-LMS (RFC 8554, NIST SP 800-208). Also what its classes hold, for fleet/everpin_fleet/lms_trees.py.
lms_sha256_m24_h5: bytes
lms_sha256_m32_h5: bytes
lmots_sha256_n24_w4: bytes
lmots_sha256_n32_w4: bytes

class LmotsPublicKey:
    K: bytes
    def __init__(self, I: bytes, q: bytes, K: bytes, lmots_type: bytes) -> None: ...

class LmotsPrivateKey:
    def __init__(
        self,
        I: bytes | None = ...,
        q: bytes | None = ...,
        SEED: bytes | None = ...,
        lmots_type: bytes = ...,
    ) -> None: ...
    def publicKey(self) -> LmotsPublicKey: ...

class LmsPublicKey:
    def serialize(self) -> bytes: ...

class LmsPrivateKey:
    lms_type: bytes
    lmots_type: bytes
    SEED: bytes
    I: bytes
    q: int
    pub: bytes
    ots_priv: list[LmotsPrivateKey]
    ots_pub: list[LmotsPublicKey]
    _nodes: dict[int, bytes]
    def _T(self, r: int) -> bytes: ...
    def sign(self, message: bytes) -> bytes: ...
    def publicKey(self) -> LmsPublicKey: ...

class HssPrivateKey:
    def __init__(
        self,
        levels: int = ...,
        lms_type: bytes = ...,
        lmots_type: bytes = ...,
        SEED: bytes | None = ...,
        remaining_signatures: int | None = ...,
        prvs: list[LmsPrivateKey] | None = ...,
        sigs: list[bytes] | None = ...,
    ) -> None: ...
    def sign(self, message: bytes) -> bytes: ...
    def publicKey(self) -> HssPublicKey: ...

class HssPublicKey:
    def serialize(self) -> bytes: ...
