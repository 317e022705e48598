import { memoryPorts } from "../local/memory-ports.ts";
import { modelTarget } from "../local/model-target.ts";
import { describeCrashes } from "./crash.contract.ts";

for (const overlap of ["both-live", "cutover"] as const) {
  describeCrashes(`a model of a ${overlap} type`, {
    overlap,
    stopsMin: 30,
    timeoutMs: 30_000,
    open: async () => {
      const target = modelTarget();
      const rotator = overlap === "both-live" ? target.bothLive : target.cutover;
      const { ports, clock } = memoryPorts(rotator, {
        policy: { graceAtMostMs: 3_000, stepDeadlineMs: 60_000 },
      });
      return {
        ports,
        rotator,
        advance: (ms) => clock.advance(ms),
        accepts: async ({ username, password }) => target.accepts(username, password),
      };
    },
  });
}
