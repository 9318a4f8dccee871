// Loaded into the server by `npm run fuzz:api` (`--import`): tells over IPC how long its event loop stood still.
import { openSync, readSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 1;
/** The loop has to come round once more before the last delay is known. */
const SETTLE_MS = 3;

const buffer = Buffer.alloc(100);
const file = openThreadTimes();

/** @returns {number | null} null where the system does not tell */
function openThreadTimes() {
  try {
    return openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
  } catch {
    return null;
  }
}

/** CPU time of the main thread alone, which neighbours do not lengthen (https://docs.kernel.org/scheduler/sched-stats.html). */
function threadMs() {
  if (file === null) return Number.NaN;
  const length = readSync(file, buffer, 0, buffer.length, 0);
  return Number(buffer.toString('latin1', 0, length).split(' ', 1)[0]) / 1e6;
}

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();

let last = threadMs();
let longestTurnMs = 0;
setInterval(() => {
  const now = threadMs();
  longestTurnMs = Math.max(longestTurnMs, now - last);
  last = now;
}, RESOLUTION_MS).unref();

process.on('message', (id) => {
  setTimeout(() => {
    const delayMs = Math.max(0, delay.max / 1e6 - RESOLUTION_MS);
    const turnMs = Number.isNaN(longestTurnMs) ? delayMs : longestTurnMs;
    delay.reset();
    longestTurnMs = 0;
    // It measures from its next turn on: nobody may ask for anything before that.
    const tell = () => process.send?.({ id, delayMs, turnMs, rssMb: process.memoryUsage.rss() / 1e6 });
    setTimeout(tell, SETTLE_MS);
  }, SETTLE_MS);
});
// It must end as it would without us.
process.channel?.unref();
