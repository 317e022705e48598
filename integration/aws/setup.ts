import { installed } from "./install.ts";

/** Before the first file and outside its time limit. */
export default async function setup(): Promise<void> {
  await installed("dynamodb-local");
  await installed("ministack");
}
