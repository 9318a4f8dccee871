/** One thing that a build makes. */
export interface Step {
  readonly name: string;
  readonly inputs: () => string[];
  readonly version?: () => string;
  readonly needs?: Step;
  readonly run: (signal?: AbortSignal) => Promise<string[]>;
}

/** Runs the steps that are missing or stale, and remembers in `state` what it did. */
export function runSteps(
  steps: readonly Step[],
  options: {
    root: string;
    state: string;
    force?: boolean;
    signal?: AbortSignal;
    report?: (line: string) => void;
  },
): Promise<void>;
