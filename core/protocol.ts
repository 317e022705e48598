import * as z from "zod/mini";
import { AgentReport } from "./fleet.ts";

/**
 * What agents and the local service say to each other: HTTP/1.1 over a Unix socket, JSON bodies, `Authorization: Bearer <token>`.
 *
 * - `GET  /v1/secrets`                          → SecretList: what the token's fleets may read
 * - `GET  /v1/secrets/<ref, URL-encoded>?stage=current|pending` → SecretReply, 404 when there is none
 * - `POST /v1/reports`  ReportRequest           → ReportReply
 * - `GET  /v1/events`                           → one RotationEvent a line (application/x-ndjson) while the connection lasts, an
 *                                                 empty line every 15 s; only of secrets that the token may read
 * - `POST /v1/wake`                             → 204: look for due work now. Needs no token; it is only a hint
 *
 * Errors are ErrorReply with 400, 401, 403, 404, 503.
 */
export const SecretList = z.object({ secrets: z.array(z.object({ ref: z.string(), type: z.string() })) });
export type SecretList = z.infer<typeof SecretList>;

export const SecretReply = z.object({
  ref: z.string(),
  version: z.string(),
  /** The JSON text of the credential. */
  value: z.string(),
  overlap: z.enum(["both-live", "cutover"]),
  cacheTtlMs: z.number(),
});
export type SecretReply = z.infer<typeof SecretReply>;

export const ReportRequest = z.object({ reports: z.array(AgentReport) });
export type ReportRequest = z.infer<typeof ReportRequest>;

export const ReportReply = z.object({
  /** Holds that are not granted, because their version is being retired: drop them and read again. */
  refusedHolds: z.array(z.string()),
});
export type ReportReply = z.infer<typeof ReportReply>;

export const ErrorReply = z.object({ code: z.string(), message: z.string() });
export type ErrorReply = z.infer<typeof ErrorReply>;
