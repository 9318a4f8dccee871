import type { Leftover, Rewrapped, Rotation } from './rotate-keys.js';

/** What a rotation has come to, in words. */
export interface RotationReport {
  readonly lines: readonly string[];
  /** What was left as it was, and what to do about it. */
  readonly problems: readonly string[];
}

const number = (value: number): string => value.toLocaleString('en');
const some = (count: number, what: string): string => `${number(count)} ${what}${count === 1 ? '' : 's'}`;

/** @param hasOldKeys whether `ENCRYPTION_KEYS_OLD` is set */
export function reportRotation(rotation: Rotation, hasOldKeys: boolean): RotationReport {
  const { guestKeys, isIndexKeyChanged, tokens, keyId } = rotation;
  const problems = [
    ...rotation.guestKeysLeft.map((left) => leftover(left, 'guest key', 'wrapped')),
    ...rotation.tokensLeft.map((left) => leftover(left, 'client token', 'encrypted')),
    ...rotation.inputsLeft
      .filter(({ isOurs }) => !isOurs)
      .map((left) => `${unknown(left, 'idempotency key', 'hashed')} They cannot be used again until they are over.`),
  ];
  const lines: string[] = [];
  if (guestKeys.changed > 0 || isIndexKeyChanged) lines.push(`${progressOf(guestKeys)} under ${keyId}`);
  if (tokens.changed > 0) lines.push(`re-encrypted ${some(tokens.changed, 'client token')} of ${number(tokens.all)}`);
  if (lines.length === 0 && problems.length === 0) {
    lines.push(`nothing to do: under ${keyId} are ${number(guestKeys.all)} keys of ${number(guestKeys.all)}`);
  }
  if (hasOldKeys) lines.push(oldKeysAfter(rotation, problems.length > 0));
  return { lines, problems };
}

/** How far it is, or how far it came. */
export const progressOf = ({ changed, all }: Rewrapped): string =>
  `re-wrapped ${some(changed, 'key')} of ${number(all)}`;

function leftover(left: Leftover, what: string, done: string): string {
  if (!left.isOurs) return `${unknown(left, what, done)} They were left as they are: add the key and run this again.`;
  return (
    `${some(left.count, what)} still ${done} under ${left.keyId}: damaged, or written meanwhile by a server with another ` +
    'ENCRYPTION_KEY. Restart the server with this one and run this again.'
  );
}

const unknown = ({ keyId, count }: Leftover, what: string, done: string): string =>
  `${some(count, what)} ${done} under ${keyId}, a key that is neither ENCRYPTION_KEY nor in ENCRYPTION_KEYS_OLD.`;

function oldKeysAfter({ inputsLeft }: Rotation, hasProblems: boolean): string {
  const ours = inputsLeft.filter(({ isOurs }) => isOurs);
  if (ours.length > 0) {
    const until = new Date(Math.max(...ours.map(({ until }) => until.getTime()))).toISOString();
    const count = ours.reduce((sum, left) => sum + left.count, 0);
    return `ENCRYPTION_KEYS_OLD is needed until ${until}: the inputs of ${some(count, 'idempotency key')} are hashed under it`;
  }
  if (hasProblems) return 'ENCRYPTION_KEYS_OLD is still needed for what was left';
  return 'ENCRYPTION_KEYS_OLD can be removed now';
}
