import { cutDirectly, liveLogins } from "../core/direct.ts";
import type { Ports } from "../core/ports.ts";
import type { RotationRecord } from "../core/record.ts";
import type { Rotator } from "../core/rotator.ts";
import { Secret } from "../core/secret.ts";
import type { Chance } from "./chance.ts";
import type { Gate } from "./gate.ts";
import { memoryJournal } from "./memory.ts";
import type { memoryPorts } from "./memory-ports.ts";
import type { ModelTarget } from "./model-target.ts";
import type { SimulatedPast } from "./simulated-past.ts";
import { type Login, loginOf } from "./simulation-end.ts";

const ref = "app/db";

/** Where a disaster happens; it changes what is here. */
export interface Scene {
  readonly chance: Chance;
  readonly target: ModelTarget;
  readonly rotator: Rotator;
  readonly memory: ReturnType<typeof memoryPorts>;
  readonly gate: Gate;
  readonly past: SimulatedPast;
  /** What was shut at the target on purpose, without anybody's knowledge. */
  readonly cut: Login[];
  readonly story: string[];
  /** The version that was current when somebody changed or dropped its login. */
  meddled?: string | undefined;
  /** Whether a rotation may begin. */
  isReady: boolean;
  journal: Ports["journal"];
  store: Ports["store"];
}

/** What may be lost, restored from a backup, or changed behind Keyturn's back. */
export const disasters: Readonly<Record<string, (scene: Scene) => Promise<void>>> = {
  "journal lost": (scene) => renewJournal(scene, undefined),
  "journal restored": (scene) => renewJournal(scene, scene.chance.pick(scene.past.records)),
  async "target restored"({ chance, past, cut }) {
    chance.pick(past.backups)();
    // The target has forgotten it, and nobody else knew.
    cut.splice(0);
  },
  "login changed": (scene) => meddle(scene, "somebody else's"),
  "login dropped": (scene) => meddle(scene, undefined),
  async "foreign pending"({ store }) {
    if ((await store.read(ref, "pending")) !== undefined) return;
    await store.savePending(ref, "stranger", new Secret('{"username":"app_x","password":"strange"}'));
  },
  async "store restored"(scene) {
    // Nobody writes to the store that is gone.
    scene.gate.bury();
    scene.store = await scene.past.storeOfOld(scene.memory.clock, scene.chance.next());
    const current = await scene.store.read(ref, "current");
    scene.story.push(`  current in the store is ${current?.version}`);
  },
  async "rights taken"(scene) {
    scene.isReady = false;
  },
  async "cut directly"({ memory, rotator, past, target, cut, story }) {
    const access = { managed: memory.managed, rotator, admin: new Secret("{}"), ports: memory.ports };
    const [live] = await liveLogins(access);
    if (live === undefined) return;
    for (const login of past.logins.values()) {
      const { username, password } = login;
      if (username === live.login && target.accepts(username, password)) cut.push(login);
    }
    await cutDirectly(access, [live.login]);
    story.push(`  ${live.login} is cut`);
  },
};

/** What the dry run finds of the rights. */
export function rightsIn({ isReady: ok }: Scene) {
  return { check: "rights", ok, message: ok ? "may administer" : "may not administer" };
}

/** What journal, store and target have, let in and allow: what a disaster leaves as it was has not acted. */
export async function traces({ journal, store, target, past, isReady }: Scene): Promise<string> {
  const { record } = (await journal.load(ref)) ?? {};
  const stages = await Promise.all(
    (["current", "pending", "previous"] as const).map(
      async (stage) => (await store.read(ref, stage))?.version,
    ),
  );
  const accepted = [...past.logins.values()].filter(({ username, password }) =>
    target.accepts(username, password),
  );
  return JSON.stringify([
    isReady,
    record?.epoch,
    record?.state.phase,
    stages,
    accepted.map(({ password }) => password),
  ]);
}

async function renewJournal(scene: Scene, record: RotationRecord | undefined): Promise<void> {
  scene.journal = memoryJournal();
  if (record !== undefined) await scene.journal.save(record, undefined);
  scene.story.push(`  the journal has ${record?.state.phase ?? "nothing"}, epoch ${record?.epoch}`);
}

async function meddle(scene: Scene, password: string | undefined): Promise<void> {
  const { store, target, past } = scene;
  const current = await store.read(ref, "current");
  if (current === undefined) return;
  const { username } = loginOf(current.value.reveal());
  scene.meddled = current.version;
  target.meddle(username, password);
  if (password !== undefined) past.logins.set("meddled", { username, password });
}
