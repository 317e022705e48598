import type { SQSEvent } from "aws-lambda";
import { KeyturnError } from "../core/errors.ts";
import { importStored, isImport } from "./importing.ts";
import { isNative, type Native, rotateNatively } from "./native-rotation.ts";
import { type Invocation, takeWork, type Working } from "./working.ts";

/**
 * All that the function of a credential type is called for, told apart by its shape: a step of Secrets Manager's, a batch of its queue, an import that
 * a person waits for. Answers what whoever called understands; nothing to Secrets Manager.
 */
export async function takeEvent(
  installed: Native & Working,
  event: unknown,
  invocation: Invocation,
): Promise<unknown> {
  if (isNative(event)) return rotateNatively(installed, event, invocation.getRemainingTimeInMillis());
  if (isImport(event)) return importStored(installed, event);
  if (isBatch(event)) return takeWork(installed, event, invocation);
  throw new KeyturnError(
    "input-invalid",
    "this function takes steps of Secrets Manager's, work of its queue, and imports",
  );
}

function isBatch(event: unknown): event is SQSEvent {
  const { Records }: { readonly Records?: unknown } = Object(event);
  return Array.isArray(Records);
}
