import { readFileSync } from 'node:fs';
import { z } from 'zod';

export const ROLES = ['GUEST', 'BACKEND', 'CRM', 'OPS'] as const;

/** What the names of callers begin with who come with a JSON Web Token. */
export const TOKEN_PREFIX = 'jwt:';

/** Whom the audit trail names who has no key: callers without one, and the parts of the server. */
export const RESERVED_NAMES: readonly string[] = [
  'local',
  'anonymous',
  'library',
  'audit-archive',
  'crm-outbox',
  'cxone',
  'expiry-sweep',
  'reconciler',
  'retry',
  'server',
];

/** As a browser writes it into `Origin`: compared as text, so that nothing has to be guessed. */
export const origin = z
  .string()
  .refine(
    (text) => /^https?:\/\/[\w.:[\]-]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text,
    'must be an origin as browsers send it, such as https://shop.example.com: no path, no usual port, no wildcard',
  );

// Strict: a misspelt `expiresAt` would be a key that never expires.
const apiKey = z.strictObject({
  // The name is the actor in the audit trail.
  name: z
    .string()
    .regex(/^[\x20-\x7e]{1,100}$/, 'must be 1 to 100 plain characters')
    // Whoever has a name has what was created under it.
    .refine((name) => !name.startsWith(TOKEN_PREFIX), `must not begin with ${TOKEN_PREFIX}, as the names of tokens do`)
    .refine(
      (name) => !RESERVED_NAMES.includes(name.trim().toLowerCase()),
      'must not be local, anonymous or library, nor the name of a part of the server',
    ),
  role: z.enum(ROLES),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/i, 'must be 64 hexadecimal digits')
    .transform((hex) => hex.toLowerCase()),
  // Empty could be taken for "from everywhere" as well as for "from nowhere".
  origins: z.array(origin).min(1, 'must name at least one origin').max(100).optional(),
  expiresAt: z
    .string()
    .transform((text) => new Date(text))
    .refine((date) => !Number.isNaN(date.getTime()), 'must be a date, such as 2030-01-01T00:00:00Z')
    .optional(),
});

/** `API_KEYS`, and what is in the file of `API_KEYS_FILE`: a JSON list. */
export const apiKeys = z
  .string()
  .transform((text, context) => {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      context.addIssue({ code: 'custom', message: 'must be a JSON list' });
      return z.NEVER;
    }
  })
  .pipe(z.array(apiKey, 'must be a JSON list'))
  .superRefine((keys, context) => {
    for (const [index, key] of keys.entries()) {
      const { name, sha256 } = clashOf(key, keys.slice(0, index));
      if (name) context.addIssue({ code: 'custom', path: [index, 'name'], message: 'is the name of another key' });
      // Nobody could say which of the two names has acted.
      if (sha256) context.addIssue({ code: 'custom', path: [index, 'sha256'], message: 'is the key of another name' });
    }
  });

/** `API_KEYS_FILE`: where it is, and the keys that it has at the start. */
export const apiKeysFile = z
  .string()
  .transform((path, context) => {
    try {
      return { path, keys: readFileSync(path, 'utf8') };
    } catch (error) {
      context.addIssue({ code: 'custom', message: unreadable(error) });
      return z.NEVER;
    }
  })
  .pipe(z.object({ path: z.string(), keys: apiKeys }));

/** Keys, as many as came; or all that is wrong with them, without what was given. */
type CheckedKeys =
  | { readonly keys: z.output<typeof apiKeys>; readonly problems: readonly [] }
  | { readonly keys: null; readonly problems: readonly string[] };

/** Checks a list of keys as a whole. @param others keys that are there besides: a name is one key's alone, and a key one name's */
export function checkKeys(text: string, others: readonly Named[]): CheckedKeys {
  const { data, error } = apiKeys.safeParse(text);
  const problems = error
    ? error.issues.map(({ path, message }) => (path.length > 0 ? `at ${path.join('.')}: ${message}` : message))
    : clashesWith(others, data).map(({ place, message }) => `at ${place}: ${message}`);
  return data && problems.length === 0 ? { keys: data, problems: [] } : { keys: null, problems };
}

/** What keys are told apart by. */
interface Named {
  readonly name: string;
  readonly sha256: string;
}

/** Whether one of the others has the name of a key, or is that key under another name. */
const clashOf = ({ name, sha256 }: Named, others: readonly Named[]) => ({
  name: others.some((other) => other.name === name),
  sha256: others.some((other) => other.sha256 === sha256 && other.name !== name),
});

/** What the keys of a file have in common with those of `API_KEYS`, and where. */
export const clashesWith = (others: readonly Named[], keys: readonly Named[]): { place: string; message: string }[] =>
  keys.flatMap((key, index) => {
    const { name, sha256 } = clashOf(key, others);
    return [
      ...(name ? [{ place: `${index}.name`, message: 'is the name of a key in API_KEYS' }] : []),
      ...(sha256 ? [{ place: `${index}.sha256`, message: 'is the key of another name in API_KEYS' }] : []),
    ];
  });

/** Why a file cannot be read. */
export const unreadable = (error: unknown): string =>
  `cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`;
