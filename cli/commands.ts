import type { Command } from "commander";

/**
 * Every command by its name, in the order in which help shows them. Each is loaded when it is asked for: a responder does not wait for
 * what another command needs.
 */
export const commands: Readonly<Record<string, () => Promise<Command>>> = {
  init: async () => (await import("./init.ts")).initCommand(),
  lint: async () => (await import("./lint.ts")).lintCommand(),
  import: async () => (await import("./import.ts")).importCommand(),
  plan: async () => (await import("./plan.ts")).planCommand(),
  rotate: async () => (await import("./rotate.ts")).rotateCommand(),
  status: async () => (await import("./status.ts")).statusCommand(),
  watch: async () => (await import("./watch.ts")).watchCommand(),
  cancel: async () => (await import("./cancel.ts")).cancelCommand(),
  rollback: async () => (await import("./rollback.ts")).rollbackCommand(),
  retire: async () => (await import("./retire.ts")).retireCommand(),
  hold: async () => (await import("./hold.ts")).holdCommand(),
  release: async () => (await import("./release.ts")).releaseCommand(),
  pause: async () => (await import("./pause.ts")).pauseCommand(),
  resume: async () => (await import("./resume.ts")).resumeCommand(),
  revoke: async () => (await import("./revoke.ts")).revokeCommand(),
  approve: async () => (await import("./approve.ts")).approveCommand(),
  doctor: async () => (await import("./doctor.ts")).doctorCommand(),
  debts: async () => (await import("./debts.ts")).debtsCommand(),
  audit: async () => (await import("./audit.ts")).auditCommand(),
  rotators: async () => (await import("./rotators.ts")).rotatorsCommand(),
  put: async () => (await import("./put.ts")).putCommand(),
  enrol: async () => (await import("./enrol.ts")).enrolCommand(),
  notify: async () => (await import("./notify.ts")).notifyCommand(),
  serve: async () => (await import("./serve.ts")).serveCommand(),
  completion: async () => (await import("./completion.ts")).completionCommand(),
};
