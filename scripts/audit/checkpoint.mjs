import { verify } from 'node:crypto';

const MEMBERS = ['hash', 'keyId', 'sequence', 'signature', 'timestamp', 'version'];
const ISO_MS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** What is wrong with the form of a checkpoint; null where nothing is. */
export function faultOf(checkpoint) {
  const { type, ...members } = checkpoint;
  if (Object.keys(members).sort().join() !== MEMBERS.join())
    return `it does not have the members ${MEMBERS.join(', ')}`;
  const { version, sequence, hash, timestamp, keyId, signature } = members;
  if (version !== 1) return `its version is ${version}`;
  if (!Number.isSafeInteger(sequence) || sequence < 1) return 'its sequence is no entry’s';
  if (!/^[0-9a-f]{64}$/.test(hash)) return 'its hash is none';
  if (!ISO_MS.test(timestamp)) return 'its timestamp is none';
  if (!/^[0-9a-f]{16}$/.test(keyId)) return 'its keyId is none';
  // Node reads what is almost base64, too.
  const bytes = Buffer.from(String(signature), 'base64');
  return bytes.length === 64 && bytes.toString('base64') === signature ? null : 'its signature is none';
}

/** The bytes that are signed: RFC 8785, by the order of the keys; none of the values needs an escape. */
function signedBytes({ hash, keyId, sequence, timestamp, version }) {
  return Buffer.from(JSON.stringify({ hash, keyId, sequence, timestamp, version }));
}

/**
 * What is wrong with the signature; null where nothing is.
 *
 * @param {Map<string, import('node:crypto').KeyObject>} keys
 */
export function signatureFaultOf(checkpoint, keys) {
  const key = keys.get(checkpoint.keyId);
  if (key === undefined) return `is signed with the key ${checkpoint.keyId}, which is not among those given`;
  const isRight = verify(null, signedBytes(checkpoint), key, Buffer.from(checkpoint.signature, 'base64'));
  return isRight ? null : 'has a signature that is not right';
}
