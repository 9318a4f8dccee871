/** Runs the command with these arguments, and gives its exit code. */
export function main(
  args: readonly string[],
  output: { say: (text: string) => void; explain: (text: string) => void },
): Promise<number>;
