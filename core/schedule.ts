/** When rotations begin by themselves. Pure: the same questions get the same answers. Times are milliseconds since 1970 UTC. */
export interface Schedule {
  /**
   * When the value that is current since `since` should be replaced. A time that has come is one not after `now`; one that was missed is
   * caught up once, at the next moment that is allowed.
   */
  next(since: number, now: number): number;
}

/** As soon as the value is so old. */
export function every(ms: number): Schedule {
  return { next: (since) => since + ms };
}
