import type { Meet } from "./boundaries.ts";

interface Command {
  readonly clientName?: string;
  readonly commandName?: string;
}

type Call<Args, Result> = (args: Args) => Promise<Result>;

/** What every client of the SDK has, as far as it is needed here. */
interface Client {
  readonly middlewareStack: {
    add(
      middleware: <Args, Result>(next: Call<Args, Result>, context: Command) => Call<Args, Result>,
      options: { readonly step: "initialize"; readonly priority: "high" },
    ): void;
  };
}

/** Makes a boundary of every call of a client: before it is signed and sent, so that a fault is what is left after the SDK's own tries. */
export function clientWithBoundaries(client: Client, meet: Meet): void {
  client.middlewareStack.add(
    (next, { clientName = "", commandName = "" }) =>
      async (args) => {
        const name = commandName.replace(/Command$/, "");
        const what = `${clientName.replace(/Client$/, "")}.${name}`;
        const { fate, held } = await meet({
          what,
          changes: !/^(Get|BatchGet|List|Describe|Query|Scan|Head)/.test(name),
        });
        if (fate === "fail") throw unanswered(`${what}: out of reach`);
        const call = next(args);
        if (fate === "go on") return call;
        // Whatever it came to, nobody hears of it.
        await Promise.allSettled([call]);
        await held();
        throw unanswered(`${what}: the reply is lost`);
      },
    { step: "initialize", priority: "high" },
  );
}

/** As the SDK throws it where no answer has come. */
function unanswered(message: string): Error {
  return Object.assign(new Error(message), { name: "TimeoutError", code: "ECONNRESET" });
}
