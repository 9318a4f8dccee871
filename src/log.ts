import { destination, type Logger, pino } from 'pino';
import type { Config } from './config.js';

const SECRET_FIELDS = ['authorization', 'clientToken', 'clientSecret', 'deviceFingerprint'];

/**
 * The log goes to standard error, as JSON lines, or readable where a person watches; standard output is for what the program
 * has to say. Every known place of a credential is redacted, should one ever be passed in.
 */
export async function createLog(level: Config['logLevel']): Promise<Logger> {
  const options = {
    level,
    base: null,
    redact: {
      paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]),
      censor: '[redacted]',
    },
  };
  if (!process.stderr.isTTY) return pino(options, destination({ dest: 2, sync: true }));
  // Loaded only where it is wanted: nobody watches most servers.
  const { default: pinoPretty } = await import('pino-pretty');
  return pino(options, pinoPretty({ destination: 2, translateTime: 'HH:MM:ss.l', ignore: 'pid,hostname' }));
}
