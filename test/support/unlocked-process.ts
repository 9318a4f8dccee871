import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

const PROGRAM = fileURLToPath(new URL('./unlocked-process.mjs', import.meta.url));

/** What such a process answers. */
export interface UnlockedAnswer {
  readonly requestId: string;
  readonly replayed: boolean;
  readonly eventSequence: number | null;
  readonly status: string | null;
  readonly sessionId: string | null;
  readonly clientToken: string | null;
  readonly code: string | null;
  readonly retryable: boolean | null;
  readonly retryAfterSeconds: number | null;
}

/** The built pipeline as a process of its own, on a database that others write to as well. Killed when the test is over. */
export class UnlockedProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve(answer: UnlockedAnswer): void; reject(error: Error): void }>();
  #nextNumber = 1;
  #complaints = '';

  private constructor(env: Readonly<Record<string, string>>) {
    const { PATH } = process.env;
    this.#child = spawn(process.execPath, [PROGRAM], { env: { PATH, ...env }, stdio: 'pipe' });
    this.#child.stderr?.on('data', (chunk) => {
      this.#complaints += chunk;
    });
    this.#child.once('close', (code, signal) => {
      const error = new Error(`the process ended with ${signal ?? code}: ${this.#complaints}`);
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
    onTestFinished(async () => {
      this.kill();
      if (this.#isRunning) await once(this.#child, 'close');
    });
  }

  /** @param env settings of the server */
  static async start(env: Readonly<Record<string, string>>): Promise<UnlockedProcess> {
    const started = new UnlockedProcess(env);
    await new Promise<unknown>((resolve, reject) => {
      started.#waiting.set(0, { resolve, reject });
      const lines = createInterface({ input: started.#child.stdout! });
      lines.on('line', (line) => started.#hear(JSON.parse(line)));
    });
    return started;
  }

  /** What went wrong there. */
  get complaints(): string {
    return this.#complaints;
  }

  /** Runs the pipeline there. */
  open(request: object): Promise<UnlockedAnswer> {
    const number = this.#nextNumber++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      this.#child.stdin?.write(`${JSON.stringify({ number, request })}\n`);
    });
  }

  /** As a power cut would. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Lets it finish what it has begun, and close. @returns its exit code */
  async end(): Promise<number | null> {
    const closed = once(this.#child, 'close');
    this.#child.stdin?.end();
    const [code] = (await closed) as [number | null];
    return code;
  }

  get #isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  #hear({ number = 0, ...answer }: UnlockedAnswer & { readonly number?: number }): void {
    this.#waiting.get(number)?.resolve(answer);
    this.#waiting.delete(number);
  }
}
