import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** Nothing of the user's environment: a proxy or NODE_OPTIONS would change what is measured, and where it goes. */
export const bareEnvironment = () => ({ PATH: process.env.PATH ?? '' });

/** A process of its own that answers questions over IPC, so that what it does takes nobody else's CPU time. */
export class Helper {
  #child;
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  #asked = new Map();
  #nextId = 0;

  constructor(child, greeting) {
    this.#child = child;
    this.greeting = greeting;
    child.on('message', ({ id, value, error }) => {
      const question = this.#asked.get(id);
      this.#asked.delete(id);
      if (error === undefined) question?.resolve(value);
      else question?.reject(new Error(error));
    });
    child.on('exit', (code, signal) => {
      for (const { reject } of this.#asked.values()) reject(new Error(`${child.spawnfile} ended (${signal ?? code})`));
    });
  }

  /**
   * Starts a file of `bench/` and waits until it is ready.
   *
   * @param {string} file
   * @param {string[]} [args]
   * @param {string[]} [execArgv] Node's own
   */
  static async start(file, args = [], execArgv = []) {
    const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
    // 'advanced' carries typed arrays: latencies by the ten thousand.
    const child = fork(path, args, { env: bareEnvironment(), execArgv, serialization: 'advanced' });
    const greeted = once(child, 'message').then(([{ greeting }]) => greeting);
    const ended = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`${file} ended before it was ready (${signal ?? code})`);
    });
    ended.catch(() => {}); // it ends some day, and then nobody waits
    return new Helper(child, await Promise.race([greeted, ended]));
  }

  /**
   * @param {string} name
   * @param {unknown} [argument]
   * @returns {Promise<any>}
   */
  ask(name, argument) {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      this.#child.send({ id, name, argument }, (error) => error && reject(error));
    });
  }

  /** CPU time of the process so far. */
  cpuMs() {
    return this.ask('cpuMs');
  }

  kill() {
    this.#child.kill('SIGKILL');
  }
}
