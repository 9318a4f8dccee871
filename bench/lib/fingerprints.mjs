import { createHash, randomBytes } from 'node:crypto';

/** The server's default FRAUD_THRESHOLD. */
const THRESHOLD = 75;

/**
 * Device fingerprints that the simulated fraud check lets pass, all of one length: it refuses about a quarter of random
 * ones, and a refusal would cost the server less than a session.
 *
 * @param {number} count
 */
export function passingFingerprints(count) {
  const passing = [];
  while (passing.length < count) {
    const fingerprint = `fp-${randomBytes(16).toString('hex')}`;
    const digest = createHash('sha256').update(fingerprint).digest('hex');
    if (Number.parseInt(digest.slice(0, 8), 16) % 100 <= THRESHOLD) passing.push(fingerprint);
  }
  return passing;
}
