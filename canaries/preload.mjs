// Loaded into every process that a run starts, by NODE_OPTIONS. Plain JavaScript, for some of them are an older Node on purpose.
const folder = process.env.KEYTURN_CANARIES;
if (folder !== undefined && process.features.typescript) {
  const { watchProcess } = await import("./watch-process.ts");
  watchProcess(folder);
}
