// Verifies a Sigstore bundle with @sigstore/verify, the library of Sigstore's own JavaScript clients.
//
// check.cjs KEY.pem BUNDLE
const { createPublicKey } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { bundleFromJSON } = require('@sigstore/bundle');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');

const [pem, path] = process.argv.slice(2);
const text = readFileSync(path, 'utf8');
const hint = JSON.parse(text).verificationMaterial.publicKey.hint;
const publicKey = createPublicKey(readFileSync(pem));
const nobody = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
const trust = toTrustMaterial(nobody, (asked) => {
  if (asked !== hint) throw new Error(`no key ${asked}`);
  return { publicKey, validFor: () => true };
});
// Signed with a key that is known, so neither Sigstore's log nor a time stamp is asked for.
const verifier = new Verifier(trust, { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 0 });
const verify = (json) => verifier.verify(toSignedEntity(bundleFromJSON(json)));

const bundle = JSON.parse(text);
verify(bundle);
const statement = JSON.parse(Buffer.from(bundle.dsseEnvelope.payload, 'base64'));

const altered = Buffer.from(JSON.stringify(statement).replace('PASSED', 'WARNED'));
bundle.dsseEnvelope.payload = altered.toString('base64');
try {
  verify(bundle);
  console.log('an altered record is accepted');
  process.exit(1);
} catch (error) {
  if (error.code !== 'SIGNATURE_ERROR') throw error;
}
console.log(`${statement.predicate.result} ${statement.subject[0].name}`);
