import type { Settings } from '../src/config.js';
import type { ArchiveStep } from '../src/store/archive-audit-trail.js';

/** Runs the command with these arguments, and gives its exit code. */
export function main(
  args: readonly string[],
  output: {
    say: (text: string) => void;
    complain: (text: string) => void;
    onStep?: (step: ArchiveStep) => void;
    settings?: Settings;
  },
): Promise<number>;
