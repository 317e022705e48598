import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import { type DeployedSecrets, readDeployment } from "../manifest/deployment.ts";

/** What a variable has to say, if it has to be there. */
export const named = z.string().check(z.minLength(1));

/** The variables that a function reads, by its schema. Throws `config-invalid` that names those which say nothing. */
export function readEnvironment<Schema extends z.ZodMiniType>(
  schema: Schema,
  environment: NodeJS.ProcessEnv,
): z.infer<Schema> {
  const parsed = z.safeParse(schema, environment);
  if (parsed.success) return parsed.data;
  const missing = parsed.error.issues.map(({ path }) => path.join("."));
  throw new KeyturnError("config-invalid", `the environment does not say ${missing.join(", ")}`);
}

/** What the manifest says, as it was deployed with the code: beside the bundle, if KEYTURN_DEPLOYMENT says nothing else. */
export function readDeployed(
  path: string = process.env.KEYTURN_DEPLOYMENT ?? join(import.meta.dirname, "keyturn.json"),
): DeployedSecrets {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new KeyturnError("config-invalid", `the deployment ${path} cannot be read`, { cause });
  }
  return readDeployment(json(path, text), dirname(path));
}

function json(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new KeyturnError("config-invalid", `the deployment ${path} is no JSON`);
  }
}
