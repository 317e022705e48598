import { Command } from "commander";
import { auditExportCommand } from "./audit-export.ts";
import { auditKeysCommand } from "./audit-keys.ts";
import { auditRootCommand } from "./audit-root.ts";
import { auditRotateKeyCommand } from "./audit-rotate-key.ts";
import { auditSignCommand } from "./audit-sign.ts";
import { auditVerifyCommand } from "./audit-verify.ts";

export function auditCommand(): Command {
  return new Command("audit")
    .description("who did what, when, to which secret")
    .addCommand(auditVerifyCommand())
    .addCommand(auditExportCommand())
    .addCommand(auditSignCommand())
    .addCommand(auditRootCommand())
    .addCommand(auditKeysCommand())
    .addCommand(auditRotateKeyCommand());
}
