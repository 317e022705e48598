import { Command } from "commander";
import { auditExportCommand } from "./audit-export.ts";
import { auditVerifyCommand } from "./audit-verify.ts";

export function auditCommand(): Command {
  return new Command("audit")
    .description("who did what, when, to which secret")
    .addCommand(auditVerifyCommand())
    .addCommand(auditExportCommand());
}
