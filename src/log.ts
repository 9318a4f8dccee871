import { destination, type Logger, pino } from 'pino';
import pinoPretty from 'pino-pretty';
import type { Config } from './config.js';

const SECRET_FIELDS = ['authorization', 'clientToken', 'clientSecret', 'deviceFingerprint'];

/**
 * The log goes to standard error, as JSON lines, or readable where a person watches; standard output is for what the program
 * has to say. Every known place of a credential is redacted, should one ever be passed in.
 */
export function createLog(level: Config['logLevel']): Logger {
  const options = {
    level,
    base: null,
    redact: {
      paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]),
      censor: '[redacted]',
    },
  };
  return process.stderr.isTTY
    ? pino(options, pinoPretty({ destination: 2, translateTime: 'HH:MM:ss.l', ignore: 'pid,hostname' }))
    : pino(options, destination({ dest: 2, sync: true }));
}
