const POLL_MS = 10;

type Truthy<T> = Exclude<T, false | null | undefined | 0 | ''>;

/** Waits until a condition holds, and gives what it gave; fails with its last word when that takes too long. */
export async function eventually<T>(condition: () => T | Promise<T>, timeoutMs = 5_000): Promise<Truthy<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value as Truthy<T>;
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
