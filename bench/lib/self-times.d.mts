export interface CpuProfile {
  nodes: {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number };
    children?: number[];
  }[];
  /** Microseconds. */
  startTime: number;
  samples: number[];
  timeDeltas: number[];
}

/** Self time by package and by function, `[name, µs]`, the longest first. */
export function selfTimes(
  profile: CpuProfile,
  span: { from: number; to: number },
): { packages: [string, number][]; functions: [string, number][]; busyUs: number; totalUs: number };
