import { type App, createApp } from './app.js';
import { loadSettings } from './config.js';
import { StartupError } from './errors.js';
import { startMessage } from './start-message.js';

let app: App | undefined;
let isStopping = false;

/** Drains, once, however often it is asked. */
async function stop(exitCode: number): Promise<void> {
  if (isStopping) return;
  isStopping = true;
  try {
    await app?.[Symbol.asyncDispose]();
    process.exit(exitCode);
  } catch (error) {
    app?.engine.log.error({ err: error }, 'the shutdown failed');
    process.exit(1);
  }
}

try {
  app = await createApp(loadSettings(), { onFatal: () => void stop(1) });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(0));
  console.log(startMessage(app));
} catch (error) {
  console.error(error instanceof StartupError ? error.message : error);
  process.exitCode = 1;
}
