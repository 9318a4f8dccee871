// Loaded into the server before anything else, once in each of its threads: records a CPU profile and writes it as the
// thread ends. Node's own --cpu-prof leaves out threads that are started with options of their own.
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';

const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.setSamplingInterval', { interval: 500 });
session.post('Profiler.start');

process.once('exit', () => {
  // Answered before post() returns.
  session.post('Profiler.stop', (error, result) => {
    if (error) throw error;
    writeFileSync(join(process.env.BENCH_PROFILES, `${threadId}.json`), JSON.stringify(result.profile));
  });
});
