import { openIncidents } from "./incident-ports.ts";
import { openPorts } from "./ports.ts";

/** Answers what happens outside: leaked keys and values, moved labels, orders by hand. */
export const handler = openIncidents(openPorts(process.env), process.env);
