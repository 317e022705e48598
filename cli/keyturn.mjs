#!/usr/bin/env node
import "./node-version.mjs";
import "./compile-cache.mjs";
import { existsSync } from "node:fs";

// A checkout runs its sources; the package has only what was built from them.
const source = new URL("./main.ts", import.meta.url);
const { main } = await import(existsSync(source) ? source.href : "../dist/cli/main.js");
await main(process.argv);
