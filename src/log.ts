import { destination, type Logger, pino, stdSerializers } from 'pino';
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
    serializers: { err: shown },
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

/** Of an error what went wrong and where, with its causes: what else libraries hang on one may be a whole request. */
function shown(error: unknown): object {
  if (!(error instanceof Error)) return { type: Object.prototype.toString.call(error).slice('[object '.length, -1) };
  const { type, message, stack, code } = stdSerializers.err(error);
  return { type, message, stack, ...(code !== undefined && { code }) };
}
