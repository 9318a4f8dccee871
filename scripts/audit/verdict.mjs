/** The trail is not what it was: from which entry on, and why. */
export class Broken extends Error {
  constructor(sequence, reason) {
    super(`broken at entry ${sequence}: ${reason}`);
    this.sequence = sequence;
    this.reason = reason;
  }
}

/** Nothing can be said of the trail: wrong usage, or a file that cannot be read. */
export class Unusable extends Error {}

/**
 * Runs a command, and turns what it throws into an exit code: 1 where the trail is broken, 2 where nothing can be said.
 *
 * @param {(text: string) => void} say for the verdict
 * @param {(text: string) => void} complain for what kept us from one
 */
export async function exitCodeOf(command, say, complain) {
  try {
    await command();
    return 0;
  } catch (error) {
    if (error instanceof Broken) {
      say(`${error.message}\n`);
      return 1;
    }
    complain(`${error instanceof Unusable ? error.message : error.stack}\n`);
    return 2;
  }
}
