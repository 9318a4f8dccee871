/** Lets one piece of work of a name be under way at a time: whoever asks for it meanwhile gets what that one comes to. */
export class SingleFlight<T> {
  readonly #underWay = new Map<string, Promise<T>>();

  run(name: string, work: () => Promise<T>): Promise<T> {
    const underWay = this.#underWay.get(name);
    if (underWay) return underWay;
    const begun = work().finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, begun);
    return begun;
  }
}
