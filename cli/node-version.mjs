// Plain JavaScript on purpose: it must run, and speak in one line, on a Node that cannot run the rest.
const needed = 24;
const major = Number(process.versions.node.split(".")[0]);
if (major < needed) {
  process.stderr.write(
    `keyturn needs Node ${needed} or later; this is Node ${process.versions.node}. In a checkout, run "npm ci" and start by "npm run"; elsewhere, install Node ${needed}.\n`,
  );
  process.exit(78);
}
