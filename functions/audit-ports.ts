import { KMSClient } from "@aws-sdk/client-kms";
import { S3Client } from "@aws-sdk/client-s3";
import * as z from "zod/mini";
import type { AuditKeys, AuditRoots } from "../core/ports.ts";
import { openAuditKeys } from "./audit-keys.ts";
import { openAuditRoots } from "./audit-roots.ts";
import { callLimits } from "./call-limits.ts";
import { named, readEnvironment } from "./environment.ts";

const Environment = z.object({ KEYTURN_AUDIT_BUCKET: named, KEYTURN_AUDIT_KEY: named });

/** What the audit is signed with. The tick alone signs it, so no other function has to load a client of KMS. */
export function openAuditPorts(environment: NodeJS.ProcessEnv): {
  readonly roots: AuditRoots;
  readonly keys: AuditKeys;
} {
  const said = readEnvironment(Environment, environment);
  const bucket = { client: new S3Client(callLimits), bucket: said.KEYTURN_AUDIT_BUCKET };
  return {
    roots: openAuditRoots(bucket),
    keys: openAuditKeys(new KMSClient(callLimits), said.KEYTURN_AUDIT_KEY),
  };
}
