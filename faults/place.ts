import type { Ports } from "../core/ports.ts";
import type { Meet } from "./boundaries.ts";

/** Where a room is, for any process that opens it: names and addresses, and no secret. */
export type Address = Readonly<Record<string, string>>;

/** What of the ports a place has. */
export interface Opened extends AsyncDisposable {
  readonly ports: Pick<
    Ports,
    "installation" | "store" | "journal" | "bus" | "audit" | "random" | "fingerprinter"
  >;
}

/** A place that was made ready; it goes with whoever started it. */
export interface Started extends AsyncDisposable {
  /** A room for one lane; what is kept in files is below this folder. Rooms may share a secret store, in which each world has names of its own. */
  newRoom(folder: string): Promise<Address>;
}

/** Where store, journal, bus and audit are, and how they are called. All that the harness knows of a cloud stands behind this. */
export interface Place {
  /** As a person would say it. */
  readonly title: string;
  /** What is tried here is made of these files and folders, besides what every place has. */
  readonly sources: readonly string[];
  /** How many boundaries of a plain rotation a case is tried at, where not at all of them. */
  readonly share: number;
  start(): Promise<Started>;
  /** Opens a room in this process. Each call that leaves the process is a boundary, where somebody is to `meet` it. */
  open(address: Address, meet?: Meet): Promise<Opened>;
}
