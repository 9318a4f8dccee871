/** Runs the command with these arguments, and gives its exit code. */
export function main(
  args: readonly string[],
  output: { stdout: NodeJS.WritableStream; complain: (text: string) => void },
): Promise<number>;
