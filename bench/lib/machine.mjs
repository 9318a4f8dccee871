import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { cpuMs } from './helper-child.mjs';

/** Linux counts CPU time for /proc in this unit whatever the kernel's own (USER_HZ). */
export const MS_PER_TICK = 10;

/** CPU time that all programs have taken together so far; null where the system does not tell. */
function busyMs() {
  try {
    // proc(5): user nice system idle iowait irq softirq steal, in ticks.
    const [user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'utf8')
      .replace(/^cpu +/, '')
      .split(' ', 8)
      .map(Number);
    return (user + nice + system + irq + softirq + steal) * MS_PER_TICK;
  } catch {
    return null;
  }
}

/**
 * Watches what share of the machine other programs take from now on: a load average would count us as well.
 *
 * @param {{ cpuMs(): number | null | Promise<number> }[]} ours the processes of the bench, besides this one
 * @returns {Promise<() => Promise<number | null>>} gives the share, 0 to 1
 */
export async function watchOthers(ours) {
  const oursMs = async () => {
    const each = await Promise.all(ours.map((process) => process.cpuMs()));
    return each.reduce((sum, ms) => sum + (ms ?? 0), cpuMs());
  };
  const before = { at: performance.now(), busy: busyMs(), ours: await oursMs() };
  return async () => {
    const busy = busyMs();
    if (before.busy === null || busy === null) return null;
    const othersMs = busy - before.busy - ((await oursMs()) - before.ours);
    return Math.max(0, othersMs / ((performance.now() - before.at) * availableParallelism()));
  };
}
