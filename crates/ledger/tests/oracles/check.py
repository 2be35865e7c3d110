"""Verifies a certificate's record with securesystemslib, and its cosignature with cryptography.

check.py KEY.pem CERTIFICATE [WITNESS-VKEY]
"""

import base64
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

pem, path, *rest = sys.argv[1:]
lines = open(path, encoding="utf-8").read().split("\n")
record = json.loads(base64.b64decode(lines[1].removeprefix("extra "), validate=True))
keyid = record["signatures"][0]["keyid"]
public = load_pem_public_key(open(pem, "rb").read())
key = SSlibKey.from_crypto(public, keyid=keyid)
envelope = Envelope.from_dict(record)
assert set(envelope.verify([key], 1)) == {keyid}
statement = json.loads(envelope.payload)
assert statement["_type"] == "https://in-toto.io/Statement/v1"
assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
predicate = statement["predicate"]
assert predicate["result"] in ("PASSED", "WARNED", "FAILED")
for resource in predicate["configuration"] + statement["subject"]:
    assert len(resource["digest"]["sha256"]) == 64
for name in ("passedTests", "warnedTests", "failedTests"):
    assert all(isinstance(test, str) for test in predicate[name])

envelope.payload = envelope.payload.replace(b"PASSED", b"WARNED")
try:
    envelope.verify([key], 1)
    sys.exit("an altered record is accepted")
except VerificationError:
    pass

if rest:
    # c2sp.org/tlog-cosignature, "Ed25519 signed message".
    name, key_id, material = rest[0].split("+", 2)
    material = base64.b64decode(material, validate=True)
    assert material[0] == 4
    witness = Ed25519PublicKey.from_public_bytes(material[1:])
    note = "\n".join(lines[lines.index("") + 1 :])
    text, signatures = note.rsplit("\n\n", 1)
    line = next(s for s in signatures.split("\n") if s.startswith(f"\u2014 {name} "))
    signature = base64.b64decode(line.rsplit(" ", 1)[1], validate=True)
    assert signature[:4].hex() == key_id
    time = int.from_bytes(signature[4:12], "big")
    message = f"cosignature/v1\ntime {time}\n{text}\n".encode()
    witness.verify(signature[12:], message)
    try:
        witness.verify(signature[12:], message + b"\n")
        sys.exit("another message is accepted")
    except InvalidSignature:
        pass
print(predicate["result"], statement["subject"][0]["name"], "cosigned" if rest else "")
