import { writeFileSync } from 'node:fs';
import { jsonOf } from './envelope.mjs';

const row = (cells) => `| ${cells.join(' | ')} |`;
const table = (head, rows) => [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');

/** @param {import('./find-worst.mjs').Measured[]} worst */
export const tableOfWorst = (worst) =>
  table(
    ['Kind', 'Sent by', 'Bytes', 'Answer', 'Blocked, ms', 'Loop delay, ms', 'CPU of that turn, ms'],
    worst.map(({ request, status, ms, delayMs, turnMs }) => [
      request.kind,
      `${request.role} over ${request.via === 'http' ? 'HTTP' : 'a socket'}`,
      Buffer.byteLength(jsonOf(request, 0)),
      status,
      ...[ms, delayMs, turnMs].map((each) => each.toFixed(1)),
    ]),
  );

/** @param {ReadonlyMap<string, number>} answers */
export const tableOfAnswers = (answers) =>
  table(
    ['Answer', 'Times'],
    [...answers].sort(([, one], [, other]) => other - one),
  );

/**
 * Writes down what has hurt the server, so that it can be sent again. It holds no keys but those of the run.
 *
 * @param {string} name
 * @param {import('./hostile-requests.mjs').HostileRequest | Buffer} finding a request, as JSON, or the bytes of a message
 * @returns {string} the file, and how it begins
 */
export function writeFinding(name, finding) {
  const isBytes = Buffer.isBuffer(finding);
  const content = isBytes ? finding : JSON.stringify(finding, null, 2);
  const file = `fuzz-${name}.${isBytes ? 'bin' : 'json'}`;
  writeFileSync(file, content);
  const beginning = isBytes
    ? JSON.stringify(finding.toString('latin1').slice(0, 150))
    : finding.query.trim().slice(0, 150);
  return `${file}, ${beginning}`;
}
