/** Closes what was opened, in reverse order, each once. (Node 20 has no AsyncDisposableStack.) */
export class Teardown implements AsyncDisposable {
  #steps: (() => unknown)[] = [];

  /** @returns the resource, so that opening and registering it is one line */
  use<Resource extends AsyncDisposable>(resource: Resource): Resource {
    this.#steps.push(() => resource[Symbol.asyncDispose]());
    return resource;
  }

  defer(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** Every step is taken, also after one that fails; then the first failure is thrown. */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
