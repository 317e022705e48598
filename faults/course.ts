import type { Phase } from "../core/record.ts";
import type { Course } from "./cases.ts";
import type { Told } from "./due.ts";
import type { Lane } from "./lane.ts";
import type { World } from "./world.ts";

/** Brings a world to where a course begins: the next worker that is sent carries it out. */
export async function begin(course: Course, world: World, lane: Lane): Promise<Told> {
  const before = (await world.record()).current?.version;
  switch (course) {
    case "rotation":
      return { before, first: known(await world.rotate()) };
    case "undo": {
      // The candidate works at the target, and has not been tried: all of it is to be taken back.
      const first = known(await world.rotate());
      await advance(world, lane, "test");
      return { before, first, answer: await world.cancel() };
    }
    case "rollback": {
      const given = known(await world.rotate());
      await advance(world, lane, "grace");
      return { before: given, first: known(await world.rollBack()) };
    }
    case "emergency":
    case "cut first": {
      const cutFirst = course === "cut first";
      const { version, successor } = await world.leak({ cutFirst });
      return { before, first: known(successor), leaked: { version, cutFirst } };
    }
  }
}

/** Another worker takes it to this state, whose first call fails and is left at that. */
async function advance(world: World, lane: Lane, phase: Phase): Promise<void> {
  const ended = await world.work(lane.second, async () =>
    (await world.record()).state.phase === phase ? "fail" : "go on",
  );
  const { state } = await world.record();
  if (state.phase !== phase) throw new Error(`it did not come to ${phase}: ${JSON.stringify(ended)}`);
  world.later();
  await world.reader.look(`in ${phase}`);
}

function known(version: string | undefined): string {
  if (version === undefined) throw new Error("nothing has begun");
  return version;
}
