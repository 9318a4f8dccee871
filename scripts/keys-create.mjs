// npm run keys:create -- --role ROLE --name NAME [--origin ORIGIN]… [--expires-at DATE] [--file FILE]
//
// Makes an API key. It is printed once and kept nowhere: what the server has is its hash.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, realpathSync, renameSync, rmSync, writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { isMain } from './lib/is-main.mjs';

const USAGE = `npm run keys:create -- --role ROLE --name NAME [--origin ORIGIN] [--expires-at DATE] [--file FILE]

  --role ROLE        GUEST, BACKEND, CRM or OPS
  --name NAME        whom the audit trail shall name; 1 to 100 plain characters
  --origin ORIGIN    for web pages of this origin alone, such as https://shop.example.com; may be repeated
  --expires-at DATE  such as 2030-01-01T00:00:00Z
  --file FILE        adds it to this file (API_KEYS_FILE), which is made if it is not there`;

const ROLES = ['GUEST', 'BACKEND', 'CRM', 'OPS'];

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

/** Puts the entry behind those of the file. Whoever reads meanwhile sees the list before or after, and never a part. */
function addTo(file, entry) {
  const { path, list } = readList(file);
  if (list.some((other) => other?.name === entry.name))
    throw new Refused(`${file} has a key of the name ${entry.name}`);
  const temporary = `${path}.${randomUUID()}`;
  try {
    const descriptor = openSync(temporary, 'wx', 0o600);
    try {
      writeSync(descriptor, `${JSON.stringify([...list, entry], null, 2)}\n`);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch ({ message }) {
    rmSync(temporary, { force: true });
    throw new Refused(`${file} cannot be written: ${message}`);
  }
}

/** The list, and where it is when links are followed: a link stays one. */
function readList(file) {
  let text;
  let path;
  try {
    path = realpathSync(file);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return { path: file, list: [] };
    throw new Refused(`${file} cannot be read: ${error.message}`);
  }
  try {
    const list = JSON.parse(text);
    if (Array.isArray(list)) return { path, list };
  } catch {
    // as below: what the parser says may hold a part of the file
  }
  throw new Refused(`${file} is not a JSON list: it is left as it is`);
}

function create(args, { say, explain }) {
  const options = parseOptions(args);
  const problems = problemsOf(options);
  if (problems.length > 0) throw new Refused(`${problems.join('\n')}\n\n${USAGE}`);
  const { role, name, origin: origins, 'expires-at': expiresAt, file } = options;
  const key = `gsk_${randomBytes(32).toString('base64url')}`;
  const sha256 = createHash('sha256').update(key).digest('hex');
  const entry = { name, role, sha256, ...(origins && { origins }), ...(expiresAt && { expiresAt }) };
  if (file !== undefined) addTo(file, entry);
  say(`${key}\n${JSON.stringify(entry)}\n`);
  const place =
    file === undefined ? 'Put the second line into the list of API_KEYS or API_KEYS_FILE.' : `It is in ${file}.`;
  explain(`The first line is the key. It is shown this once. ${place}\n`);
}

/**
 * @param {string[]} args
 * @param {{ say: (text: string) => void, explain: (text: string) => void }} output
 * @returns {number} the exit code
 */
export function main(args, output) {
  try {
    create(args, output);
    return 0;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    output.explain(`${error.message}\n`);
    return 2;
  }
}

if (isMain(import.meta.url)) {
  const to = (stream) => (text) => void stream.write(text);
  process.exitCode = main(process.argv.slice(2), { say: to(process.stdout), explain: to(process.stderr) });
}
