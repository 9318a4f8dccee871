// npm run keys:create -- --role ROLE --name NAME [--origin ORIGIN]… [--expires-at DATE] [--file FILE]
//
// Makes an API key. It is printed once and kept nowhere: what the server has is its hash.
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { isMain } from './lib/is-main.mjs';
import { withLock } from './lib/lock.mjs';

const USAGE = `npm run keys:create -- --role ROLE --name NAME [--origin ORIGIN] [--expires-at DATE] [--file FILE]

  --role ROLE        GUEST, BACKEND, CRM or OPS
  --name NAME        whom the audit trail shall name; 1 to 100 plain characters
  --origin ORIGIN    for web pages of this origin alone, such as https://shop.example.com; may be repeated
  --expires-at DATE  such as 2030-01-01T00:00:00Z
  --file FILE        adds it to this file (API_KEYS_FILE), which is made if it is not there`;

/** Longer than a lock is respected whose holder is on another machine and says nothing any more. */
const MAX_WAIT_MS = 40_000;
const OWNER_ALONE = 0o600;
const GROUP = 0o070;

const ROLES = ['GUEST', 'BACKEND', 'CRM', 'OPS'];

/** As in src/key-formats.ts. */
const RESERVED_NAMES = [
  ...['local', 'anonymous', 'library', 'audit-archive', 'crm-outbox', 'cxone', 'expiry-sweep', 'reconciler', 'retry'],
  'server',
];

/** Wrong usage, or a file that cannot take the key. */
class Refused extends Error {}

function parseOptions(args) {
  const option = { type: 'string' };
  const options = {
    role: option,
    name: option,
    origin: { ...option, multiple: true },
    'expires-at': option,
    file: option,
  };
  try {
    return parseArgs({ args, options }).values;
  } catch ({ message }) {
    throw new Refused(`${message}\n\n${USAGE}`);
  }
}

/** All that is wrong, at once. */
function problemsOf({ role, name, origin = [], 'expires-at': expiresAt }) {
  const problems = [];
  if (!ROLES.includes(role)) problems.push(`--role must be one of ${ROLES.join(', ')}`);
  if (!/^[\x20-\x7e]{1,100}$/.test(name ?? '')) problems.push('--name is needed: 1 to 100 plain characters');
  if (name?.startsWith('jwt:')) problems.push('--name must not begin with jwt:, as the names of tokens do');
  if (RESERVED_NAMES.includes(name?.trim().toLowerCase())) {
    problems.push('--name must not be local, anonymous or library, nor the name of a part of the server');
  }
  for (const text of origin) {
    if (!/^https?:\/\/[\w.:[\]-]+$/.test(text) || !URL.canParse(text) || new URL(text).origin !== text) {
      problems.push(`--origin must be as browsers send it, such as https://shop.example.com, and not ${text}`);
    }
  }
  if (expiresAt !== undefined && !(new Date(expiresAt).getTime() > Date.now())) {
    problems.push('--expires-at must be a date to come, such as 2030-01-01T00:00:00Z');
  }
  return problems;
}

/**
 * Puts the entry behind those of the file. Whoever reads meanwhile sees the list before or after, and never a part; whoever
 * adds another key meanwhile waits.
 */
async function addTo(file, entry) {
  try {
    const path = placeOf(file);
    const lock = `${path}.lock`;
    // In the lock: what is left of who was killed goes with it, and who has lost it for being silent can put nothing in place.
    const temporary = join(lock, 'new');
    const options = { maxWaitMs: MAX_WAIT_MS, what: 'writing' };
    await withLock(lock, async () => replace({ path, file, temporary }, entry), options);
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused(`${file} cannot be written: ${error.message}`);
  }
}

function replace({ path, file, temporary }, entry) {
  const descriptor = openSync(temporary, 'wx', OWNER_ALONE);
  try {
    const list = readList(path, file);
    if (list.some((other) => other?.name === entry.name))
      throw new Refused(`${file} has a key of the name ${entry.name}`);
    keepOwner(descriptor, statSync(path, { throwIfNoEntry: false }));
    writeSync(
      descriptor,
      `${JSON.stringify([...list, entry], null, 2)}
`,
    );
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(temporary, path);
}

/**
 * Whoever may read the file may read the one in its place: a server of another user would lose its keys else. Where its owner
 * cannot be kept, nothing is put in its place.
 */
function keepOwner(descriptor, before) {
  if (!before) return;
  const { uid, gid } = fstatSync(descriptor);
  const readsAsGroup = (before.mode & GROUP) !== 0;
  if (uid !== before.uid || (readsAsGroup && gid !== before.gid)) fchownSync(descriptor, before.uid, before.gid);
  fchmodSync(descriptor, before.mode & 0o777); // after it: a change of the owner may take rights away
}

/** Where it is when links are followed: a link stays one. */
function placeOf(file) {
  try {
    return realpathSync(file);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return join(realpathSync(dirname(file)), basename(file)); // one name for its lock, however it is named
  }
}

function readList(path, file) {
  let text;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw new Refused(`${file} cannot be read: ${error.message}`);
  }
  try {
    const list = JSON.parse(text);
    if (Array.isArray(list)) return list;
  } catch {
    // as below: what the parser says may hold a part of the file
  }
  throw new Refused(`${file} is not a JSON list: it is left as it is`);
}

async function create(args, { say, explain }) {
  const options = parseOptions(args);
  const problems = problemsOf(options);
  if (problems.length > 0) throw new Refused(`${problems.join('\n')}\n\n${USAGE}`);
  const { role, name, origin: origins, 'expires-at': expiresAt, file } = options;
  const key = `gsk_${randomBytes(32).toString('base64url')}`;
  const sha256 = createHash('sha256').update(key).digest('hex');
  const entry = { name, role, sha256, ...(origins && { origins }), ...(expiresAt && { expiresAt }) };
  if (file !== undefined) await addTo(file, entry);
  say(`${key}\n${JSON.stringify(entry)}\n`);
  const place =
    file === undefined ? 'Put the second line into the list of API_KEYS or API_KEYS_FILE.' : `It is in ${file}.`;
  explain(`The first line is the key. It is shown this once. ${place}\n`);
}

/**
 * @param {string[]} args
 * @param {{ say: (text: string) => void, explain: (text: string) => void }} output
 * @returns {Promise<number>} the exit code
 */
export async function main(args, output) {
  try {
    await create(args, output);
    return 0;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    output.explain(`${error.message}\n`);
    return 2;
  }
}

if (isMain(import.meta.url)) {
  const to = (stream) => (text) => void stream.write(text);
  process.exitCode = await main(process.argv.slice(2), { say: to(process.stdout), explain: to(process.stderr) });
}
