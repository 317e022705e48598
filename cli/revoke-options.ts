import { InvalidArgumentError } from "commander";
import { KeyturnError } from "../core/errors.ts";

export interface RevokeOptions {
  readonly which: string;
  readonly fleet?: string;
  readonly tenant?: string;
  readonly agent?: string;
  readonly leaked?: boolean;
  readonly cutFirst?: boolean;
  readonly yes?: boolean;
  readonly maxAffected?: number;
  readonly approval?: string;
  readonly key?: string;
  /** When the alert came, in milliseconds since 1970 UTC. */
  readonly since?: number;
  /** Seconds. */
  readonly timeout: number;
  /** At the target itself, while store and journal are out of reach. */
  readonly direct?: boolean;
  /** With `direct`: only these. */
  readonly login?: readonly string[];
}

/** What a revocation is for. A tenant beside another one is a guard: everything has to be that tenant's. */
export type Selector =
  | { readonly kind: "secrets"; readonly refs: readonly string[] }
  | { readonly kind: "fleet" | "tenant" | "agent"; readonly name: string }
  | { readonly kind: "leaked" };

const stages = ["current", "previous", "pending"];

/** Throws `input-invalid` for what says nothing, or two things. */
export function selectorOf(refs: readonly string[], options: RevokeOptions): Selector {
  const { fleet, tenant, agent, leaked, which } = options;
  const selectors: Selector[] = [
    ...(refs.length > 0 ? [{ kind: "secrets", refs: [...new Set(refs)] } as const] : []),
    ...(fleet !== undefined ? [{ kind: "fleet", name: fleet } as const] : []),
    // Its tokens are the host's: `host/name` is one of its agents.
    ...(agent !== undefined ? [{ kind: "agent", name: agent.split("/")[0] ?? agent } as const] : []),
    ...(leaked === true ? [{ kind: "leaked" } as const] : []),
  ];
  if (selectors.length === 0 && tenant !== undefined) selectors.push({ kind: "tenant", name: tenant });
  const [selector] = selectors;
  if (selector === undefined || selectors.length > 1) {
    throw new KeyturnError(
      "input-invalid",
      "say what leaked by one of: secrets, --fleet, --tenant, --agent, or --leaked with the value on standard input",
    );
  }
  if (selector.kind === "leaked" && which !== "current") {
    throw new KeyturnError(
      "input-invalid",
      "a leaked value says itself which version it is: leave --which out",
    );
  }
  const isOne = selector.kind === "secrets" && selector.refs.length === 1;
  if (!isOne && !stages.includes(which)) {
    throw new KeyturnError("input-invalid", `for several secrets --which is one of ${stages.join(", ")}`);
  }
  return selector;
}

/** For `--max-affected`: a whole number above zero. */
export function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a whole number above 0.");
}

/** For `--since`: a time that has come, with its zone. */
export function pastTime(text: string): number {
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (at <= Date.now()) return at;
  throw new InvalidArgumentError("It must be a time that has come, such as 2026-01-31T02:59:00Z.");
}

/** The command once more, as it would be typed, with this added. */
export function commandAgain(selector: Selector, options: RevokeOptions, added: readonly string[]): string {
  const { which, tenant, cutFirst, yes, maxAffected, approval, key, since } = options;
  const words = [
    ...(selector.kind === "secrets" ? selector.refs : []),
    ...(selector.kind === "fleet" || selector.kind === "agent" ? [`--${selector.kind}`, selector.name] : []),
    ...(selector.kind === "leaked" ? ["--leaked"] : []),
    ...(tenant === undefined ? [] : ["--tenant", tenant]),
    ...(which === "current" ? [] : ["--which", which]),
    ...(cutFirst === true ? ["--cut-first"] : []),
    ...(since === undefined ? [] : ["--since", new Date(since).toISOString()]),
    ...(maxAffected === undefined || added.includes("--max-affected")
      ? []
      : ["--max-affected", String(maxAffected)]),
    ...(key === undefined ? [] : ["--key", key]),
    ...(approval === undefined || added.includes("--approval") ? [] : ["--approval", approval]),
    ...(yes === true && !added.includes("--yes") ? ["--yes"] : []),
    ...added,
  ];
  return ["keyturn", "revoke", ...words.map(quoted)].join(" ");
}

function quoted(word: string): string {
  return /^[\w./:@<>-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
