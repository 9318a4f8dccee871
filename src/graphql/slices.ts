const SLICE_MS = 5;

/** Work that is done a little at a time. */
export interface Task {
  /** Does a little, and adds itself again where there is more. Must not throw. */
  turn(): void;
}

/**
 * Runs tasks in the order in which they were added, in short slices, between which the event loop gets its turn: one event
 * for thousands of sockets must not keep a guest waiting.
 */
export class Slices {
  readonly #tasks = new Set<Task>();
  #next: NodeJS.Immediate | null = null;

  add(task: Task): void {
    this.#tasks.add(task);
    this.#next ??= setImmediate(() => this.#run());
  }

  #run(): void {
    const until = performance.now() + SLICE_MS;
    for (const task of this.#tasks) {
      this.#tasks.delete(task);
      task.turn();
      if (performance.now() > until) break;
    }
    this.#next = this.#tasks.size > 0 ? setImmediate(() => this.#run()) : null;
  }
}
