import { once } from "node:events";
import { createServer } from "node:http";

/** What files of tests share and not all of them need: it starts while the others run, and who needs it waits at its address. */
interface Background {
  readonly address: string;
  /** Also of what has failed, and of what is still starting. */
  end(): Promise<void>;
}

/** What is started ends with the stack: at the end, and where it cannot be started. `over` is aborted when nobody needs it any more. */
type Start<Told> = (stack: AsyncDisposableStack, over: AbortSignal) => Promise<Told>;

/** Begins, and waits for nothing. */
export async function inBackground<Told extends object>(start: Start<Told>): Promise<Background> {
  const over = new AbortController();
  const stack = new AsyncDisposableStack();
  const starting = start(stack, over.signal).catch(async (failure: unknown) => {
    await stack.disposeAsync();
    throw failure;
  });
  const server = createServer((_, answer) => {
    starting.then(
      (told) => answer.end(JSON.stringify(told)),
      (failure: unknown) => answer.writeHead(500).end(String(failure)),
    );
  });
  server.listen(0, "127.0.0.1");
  const ended = starting.then(
    () => undefined,
    // Whoever asks is told.
    () => undefined,
  );
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the background has no port");
  return {
    address: `http://127.0.0.1:${address.port}`,
    end: async () => {
      over.abort();
      await ended;
      server.close();
      server.closeAllConnections();
      await stack.disposeAsync();
    },
  };
}

/** Waits until it has started, and gives what is told of it. Throws what it has failed with. */
export async function fromBackground(what: string, address: string, withinMs: number): Promise<unknown> {
  const answer = await fetch(address, { signal: AbortSignal.timeout(withinMs) }).catch((failure: unknown) => {
    const isLate = failure instanceof Error && failure.name === "TimeoutError";
    const why = isLate ? `has not started within ${withinMs} ms` : "is not there: who starts it has ended";
    throw new Error(`${what} ${why}`, { cause: failure });
  });
  if (!answer.ok) throw new Error(`${what} could not be started: ${await answer.text()}`);
  return answer.json();
}
