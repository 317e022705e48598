import type { AgentReport } from "../core/fleet.ts";
import type { ReportReply, SecretList, SecretReply } from "../core/protocol.ts";

export type SecretSummary = SecretList["secrets"][number];

/**
 * The way to the service. Absent is `undefined`; every failure throws a KeyturnError whose message holds no value. Calls
 * try again by themselves, for a bounded time, while the service cannot be reached.
 */
export interface Transport {
  list(): Promise<readonly SecretSummary[]>;
  read(ref: string, stage: "current" | "pending"): Promise<SecretReply | undefined>;
  report(reports: readonly AgentReport[], signal?: AbortSignal): Promise<ReportReply>;
  /** Resolves when the stream is open, gives one line after the other, and ends when the connection does or the signal says so. */
  events(signal: AbortSignal): Promise<AsyncIterable<string>>;
  /** Ends what is under way and lets every connection go. */
  close(): void;
}
