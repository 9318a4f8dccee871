/** CPU time of this process so far, all its threads included. */
export function cpuMs() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * The child's end of a {@link import('./helper.mjs').Helper}: answers the parent's questions until the parent is gone.
 *
 * @param {Record<string, (argument: any) => unknown>} handlers what the parent may ask for, by name
 * @param {object} [greeting] what the parent has to know before it asks
 */
export function serveParent(handlers, greeting = {}) {
  const known = { cpuMs, ...handlers };
  process.on('message', async ({ id, name, argument }) => {
    try {
      process.send({ id, value: await known[name](argument) });
    } catch (error) {
      process.send({ id, error: String(error?.stack ?? error) });
    }
  });
  // A bench that was killed leaves nobody behind.
  process.on('disconnect', () => process.exit());
  process.send({ greeting });
}
