import * as z from "zod/mini";
import { AuditExportResult, AuditVerifyResult } from "./audit.ts";
import { AuditKeysResult, AuditRootResult, AuditRotateKeyResult, AuditSignResult } from "./audit-roots.ts";
import { DebtsResult } from "./debts.ts";
import { DoctorResult } from "./doctor.ts";
import { FailureResult } from "./failure.ts";
import { ImportResult } from "./import.ts";
import { LintResult } from "./lint.ts";
import { NotifyTestResult } from "./notify.ts";
import { PlanResult } from "./plan.ts";
import { PutResult } from "./put.ts";
import { ResumeResult, RetireResult, RotationResult, Told, ToldResult } from "./request.ts";
import { ApproveResult, NewKeyResult, RevokeResult } from "./revoke.ts";
import { DirectResult } from "./revoke-direct.ts";
import { RotatorsResult } from "./rotators.ts";
import { EnrolResult, InitResult } from "./setup.ts";
import { StatusResult } from "./status.ts";
import { WatchResult } from "./watch.ts";

/** What each command prints with `--json`, by its name; `watch` and `audit export` print a line of it for each change and entry. */
export const resultSchemas: Readonly<Record<string, z.ZodMiniType>> = {
  init: InitResult,
  import: ImportResult,
  lint: LintResult,
  plan: PlanResult,
  rotate: RotationResult,
  status: StatusResult,
  watch: WatchResult,
  cancel: RotationResult,
  rollback: RotationResult,
  retire: RetireResult,
  hold: Told,
  release: Told,
  pause: ToldResult,
  resume: ResumeResult,
  revoke: z.union([RevokeResult, DirectResult]),
  approve: z.union([ApproveResult, NewKeyResult]),
  doctor: DoctorResult,
  debts: DebtsResult,
  "audit verify": AuditVerifyResult,
  "audit export": AuditExportResult,
  "audit sign": AuditSignResult,
  "audit root": AuditRootResult,
  "audit keys": AuditKeysResult,
  "audit rotate-key": AuditRotateKeyResult,
  rotators: RotatorsResult,
  put: PutResult,
  "notify test": NotifyTestResult,
  enrol: EnrolResult,
};

/** What any command prints with `--json` when it has no result. */
export const failureSchema: z.ZodMiniType = FailureResult;

/** They have no result: a service, and a text for a shell. */
export const resultless: readonly string[] = ["serve", "completion"];
