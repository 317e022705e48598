import { installed } from "./install.ts";

/** Before the first file, and outside of its time limit. */
export default async function setup(): Promise<void> {
  await installed("dynamodb-local");
  await installed("ministack");
}
