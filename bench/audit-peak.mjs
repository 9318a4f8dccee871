// Loaded into the verifier by `npm run bench:audit`: says on file 3, when it ends, what it took.
import { readFileSync, writeSync } from 'node:fs';

/** Its own memory at its highest, in kB; `maxRSS` alone may be that of the process that started it. */
function peakKb() {
  try {
    return Number(readFileSync('/proc/self/status', 'utf8').match(/^VmHWM:\s+(\d+)/m)?.[1]);
  } catch {
    return process.resourceUsage().maxRSS;
  }
}

process.on('exit', () => {
  const { user, system } = process.cpuUsage();
  writeSync(3, JSON.stringify({ cpuMs: (user + system) / 1000, peakKb: peakKb() }));
});
