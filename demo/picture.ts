import { styleText } from "node:util";
import { createLogUpdate } from "log-update";

/** What one picture shows. */
export interface Scene {
  readonly phase: string;
  readonly agents: number;
  readonly adopted: number;
  readonly released: number;
  readonly queries: number;
  readonly failed: number;
}

const phases = ["create", "set", "test", "finish", "announce", "grace", "retire", "idle"] as const;

/** Without a terminal, no more than this often. */
const plainMs = 400;

/** Shows the demo: a picture that moves where there is a terminal, plain lines where there is none. All on standard error. */
export class Picture {
  readonly #started = performance.now();
  readonly #moves = process.stderr.isTTY === true && process.env.CI === undefined;
  #said = "";
  #saidAt = 0;
  readonly #update = createLogUpdate(process.stderr);

  /** A line that stays. */
  line(text: string, style: "plain" | "bold" | "good" | "bad" = "plain"): void {
    if (this.#moves) this.#update.clear();
    const after = `${((performance.now() - this.#started) / 1_000).toFixed(1).padStart(5)} s  `;
    process.stderr.write(`${paint("dim", after)}${style === "plain" ? text : paint(styles[style], text)}\n`);
  }

  /** The state of things right now; without a terminal a line now and then, when it has changed. */
  scene(scene: Scene): void {
    if (!this.#moves) {
      this.#plain(scene);
      return;
    }
    this.#update(
      [
        "",
        `  ${phases.map((phase) => (phase === scene.phase ? paint("inverse", ` ${phase} `) : paint("dim", phase))).join(" > ")}`,
        `  adopted   ${bar(scene.adopted, scene.agents)}`,
        `  released  ${bar(scene.released, scene.agents)}`,
        `  ${scene.queries} queries, ${scene.failed} failed`,
      ].join("\n"),
    );
  }

  #plain({ phase, adopted, released, agents }: Scene): void {
    const text = `    ${phase}: ${adopted} of ${agents} agents on the new version, ${released} free of the old one`;
    const now = performance.now();
    if (phase !== "grace" || text === this.#said || now - this.#saidAt < plainMs) return;
    this.#said = text;
    this.#saidAt = now;
    this.line(text);
  }

  end(): void {
    if (this.#moves) this.#update.clear();
  }
}

const styles = { bold: "bold", good: "green", bad: "red" } as const;

function paint(style: "dim" | "inverse" | "bold" | "green" | "red", text: string): string {
  return styleText(style, text, { stream: process.stderr });
}

function bar(value: number, most: number): string {
  const width = 40;
  const full = most === 0 ? 0 : Math.round((width * value) / most);
  return `${"█".repeat(full)}${"░".repeat(width - full)} ${value}/${most}`;
}
