// Loads a function as Lambda does, says when it can take an invocation, and ends: `node load-function.mjs <bundle>`.
const { handler } = await import(process.argv[2] ?? "");
if (typeof handler !== "function") throw new Error("a function without a handler");
process.stdout.write("ready\n", () => process.exit(0));
