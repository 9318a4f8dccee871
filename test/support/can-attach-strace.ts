import { spawnSync } from 'node:child_process';

/** Attaches strace to a process that is not its own child, which a system may forbid. */
const ATTACH = ['sh', ['-c', 'sleep 0.2 & strace -f -o /dev/null -p $!; exit $?']] as const;

/** Whether strace is there, and may look at a running server. */
export const canAttachStrace = (): boolean => spawnSync(...ATTACH, { timeout: 10_000 }).status === 0;
