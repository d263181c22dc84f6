"""Every bound of the device, with its unit and its reason."""

from ..compat import const

# Bytes of one signed document: DESIGN section 3; larger ones are refused before anything is allocated.
DOCUMENT_MAX_BYTES = const(8192)
# Nesting of CBOR: a pins document needs 7 (tag, array; then claims, body, hosts, host, pins, pin apart in its payload).
CBOR_MAX_DEPTH = const(12)
# Items in one CBOR array or map; the forbidden set is the longest list.
CBOR_MAX_ITEMS = const(64)

# Names of fleet, channel and device, in bytes of UTF-8: they stand in topics and in external_aad.
NAME_MAX_BYTES = const(64)
# RFC 1035 section 2.3.4.
HOST_MAX_BYTES = const(253)
CARRIER_MAX_BYTES = const(200)

ROOT_MAX_KEYS = const(16)
# Signatures of one document that are looked at: a rotating root carries those of the old rule and of the new one.
MAX_SIGNATURES = const(16)
# Roots walked in one go (one connection): TUF's clients default to 256, and a year of monthly rotation is twelve.
ROOT_WALK_MAX = const(64)
# Contingency roots take the next multiple as their version, ordinary ones never reach one (DESIGN section 3).
CONTINGENCY_STEP = const(65536)
RULE_MAX_GROUPS = const(4)
RULE_MAX_KEYS = const(8)

PINS_MAX_HOSTS = const(16)
HOST_MIN_PINS = const(2)  # RFC 7469 section 4.3 asks for a backup pin
HOST_MAX_PINS = const(8)
MAX_BROKERS = const(4)
MAX_CARRIERS = const(4)
MAX_ANCHORS = const(8)
# Inspection CAs of a managed device's factory record.
MAX_MANAGED = const(4)
# Bytes of the anchors that the base keeps from earlier documents, so that the longest commit fits its ring.
BASE_ANCHORS_MAX_BYTES = const(4096)
MAX_FORBIDDEN = const(64)
MAX_TIME_SOURCES = const(8)
# Certificate Transparency logs of a document, timestamps that an entry may ask for, and those of one certificate that are looked at.
MAX_LOGS = const(16)
MAX_SCTS = const(3)
SCTS_LOOKED_AT = const(8)

# One certificate; the largest seen in public chains is below 4 kB.
CERTIFICATE_MAX_BYTES = const(8192)
# Public certificates have about ten; names of one certificate, and of one set of name constraints.
CERTIFICATE_MAX_EXTENSIONS = const(32)
CERTIFICATE_MAX_NAMES = const(128)
# A served chain, and the path that is looked for in it.
CHAIN_MAX = const(8)
CHAIN_MAX_BYTES = const(16384)
PATH_MAX = const(6)
# Signature checks for one chain, whatever it holds: a path of six needs five, cross-signs and strangers a few more.
LINK_CHECKS_MAX = const(16)
# SubjectPublicKeyInfo: RSA 8192 takes 1,062 bytes, ML-DSA-87 about 2,620.
SPKI_MAX_BYTES = const(4096)
DER_MAX_DEPTH = const(8)

# Reports kept on flash, and how often they may be written in a day.
REPORT_MAX_EVENTS = const(16)
# Bytes of their encoding: a list of the usual sixteen takes 2.6 kB, and what is made of it is in RAM three times over.
REPORT_MAX_BYTES = const(3072)
REPORT_WRITES_PER_DAY = const(24)
