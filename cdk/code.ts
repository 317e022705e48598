import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "aws-cdk-lib/aws-lambda";
import { KeyturnError } from "../core/errors.ts";

/** Made when the package is built. */
const built = join(import.meta.dirname, "../bundles");
/** What makes them; a checkout has it, the package does not. */
const bundler = join(import.meta.dirname, "bundle.ts");

/**
 * The code of Keyturn's own functions for these credential types, with the files of an installation beside it. Whoever has installed the package finds the
 * bundles in it; a checkout makes them of its sources, all at once when the first is asked for.
 */
export function ownCode(
  types: readonly string[],
  files: Readonly<Record<string, string>>,
): (bundle: string) => Code {
  const known = new Map<string, Code>();
  let folder: string | undefined;
  return (bundle) => {
    const before = known.get(bundle);
    if (before !== undefined) return before;
    folder ??= bundled(types);
    const place = join(folder, bundle);
    if (!existsSync(place) && existsSync(join(built, bundle)))
      cpSync(join(built, bundle), place, { recursive: true });
    if (!existsSync(place))
      throw new KeyturnError("config-invalid", `this version of Keyturn has no function ${bundle}`);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(place, name), text);
    const code = Code.fromAsset(place);
    known.set(bundle, code);
    return code;
  };
}

/** A folder, and in a checkout the bundles in it. */
function bundled(types: readonly string[]): string {
  const folder = temporaryFolder();
  if (existsSync(bundler)) execFileSync(process.execPath, [bundler, folder, ...types], { stdio: "inherit" });
  return folder;
}

/** Gone when this process ends: the CDK has copied what was in it by then. */
function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "keyturn-code-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
