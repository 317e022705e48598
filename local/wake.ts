import { request } from "node:http";
import { connect } from "node:net";

const answerWithinMs = 250;

/** Whether a process serves at this socket. */
export function isServed(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const answer = (served: boolean) => {
      socket.destroy();
      resolve(served);
    };
    socket.once("connect", () => answer(true)).once("error", () => answer(false));
  });
}

/** Tells the process that serves at a socket to look for work now. That nobody serves, or is too busy to answer, is no failure. */
export class Waker {
  readonly #socketPath: string;
  #underWay: Promise<void> | undefined;
  #again = false;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  wake(): Promise<void> {
    return new Promise((resolve) => {
      const socketPath = this.#socketPath;
      const outgoing = request({ socketPath, agent: false, method: "POST", path: "/v1/wake" });
      outgoing.setTimeout(answerWithinMs, () => outgoing.destroy());
      outgoing.on("response", (incoming) => incoming.resume());
      outgoing.on("error", () => resolve());
      outgoing.on("close", () => resolve());
      outgoing.end();
    });
  }

  /** Wakes without being waited for; what comes while one call is under way goes with one call after it. */
  poke(): void {
    this.#again = true;
    this.#underWay ??= this.#work().finally(() => {
      this.#underWay = undefined;
    });
  }

  /** Resolves when every poke is out: a process should not end on its last word. */
  async settled(): Promise<void> {
    await this.#underWay;
  }

  async #work(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      await this.wake();
    }
  }
}
