import childProcess from "node:child_process";
import { syncBuiltinESMExports } from "node:module";
import { note } from "./note.ts";

const once = Symbol.for("keyturn.canaries.spawns");

/** Writes the arguments and the environment of each process that this one starts into a file, however short its life is. */
export function recordSpawns(file: string): void {
  if (Object.hasOwn(globalThis, once)) return;
  Reflect.set(globalThis, once, true);
  const record = (args: readonly unknown[], environment: readonly unknown[]): void =>
    note(file, `${args.join("\0")}\0\0${environment.join("\0")}\0\n`);

  // Whatever does not wait for its process goes through this.
  wrap(childProcess.ChildProcess.prototype, "spawn", ([options]) => {
    const { file: program, args, envPairs }: Spawned = Object(options);
    record([program, ...list(args)], list(envPairs));
  });
  wrap(childProcess, "spawnSync", ([program, ...rest]) =>
    record([program, ...argumentsIn(rest)], environmentIn(rest)),
  );
  wrap(childProcess, "execFileSync", ([program, ...rest]) =>
    record([program, ...argumentsIn(rest)], environmentIn(rest)),
  );
  wrap(childProcess, "execSync", ([command, ...rest]) => record([command], environmentIn(rest)));
  syncBuiltinESMExports();
}

interface Spawned {
  readonly file?: unknown;
  readonly args?: unknown;
  readonly envPairs?: unknown;
}

function wrap(owner: object, name: string, before: (args: readonly unknown[]) => void): void {
  const original: unknown = Reflect.get(owner, name);
  if (typeof original !== "function") throw new Error(`this Node has no ${name}`);
  const seen = new Proxy(original, {
    apply: (call, self, args) => {
      before(args);
      return Reflect.apply(call, self, args);
    },
  });
  Reflect.set(owner, name, seen);
}

function argumentsIn(rest: readonly unknown[]): readonly unknown[] {
  return rest.flatMap((one) => (Array.isArray(one) ? one : []));
}

function environmentIn(rest: readonly unknown[]): readonly string[] {
  const given: object | undefined = rest.map((one) => Object(one).env).find((env) => env !== undefined);
  return Object.entries(given ?? process.env).map(([name, value]) => `${name}=${value}`);
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
