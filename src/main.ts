import { createApp } from './app.js';
import { loadSettings } from './config.js';
import { StartupError } from './errors.js';
import { startMessage } from './start-message.js';

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

try {
  const app = await createApp(loadSettings(), { onFatal: () => process.exit(1) });
  console.log(startMessage(app));

  const stop = async () => {
    for (const signal of SIGNALS) process.off(signal, stop).on(signal, () => undefined); // one drain, however often asked
    try {
      await app[Symbol.asyncDispose]();
      process.exit(0);
    } catch (error) {
      app.engine.log.error({ err: error }, 'the shutdown failed');
      process.exit(1);
    }
  };
  for (const signal of SIGNALS) process.on(signal, stop);
} catch (error) {
  console.error(error instanceof StartupError ? error.message : error);
  process.exitCode = 1;
}
