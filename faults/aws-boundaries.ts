import { atBoundary, type Meet } from "./boundaries.ts";

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
      (args) => {
        const name = commandName.replace(/Command$/, "");
        const boundary = {
          what: `${clientName.replace(/Client$/, "")}.${name}`,
          changes: !/^(Get|BatchGet|List|Describe|Query|Scan|Head)/.test(name),
        };
        return atBoundary({ meet, boundary, failure: unanswered }, () => next(args));
      },
    { step: "initialize", priority: "high" },
  );
}

/** As the SDK throws it where no answer has come. */
function unanswered(message: string): Error {
  return Object.assign(new Error(message), { name: "TimeoutError", code: "ECONNRESET" });
}
