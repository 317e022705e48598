import { inject } from "vitest";
import { fromBackground } from "../background.ts";
import { Told } from "./told.ts";

/** Far more than a deployment takes on a machine that is busy. */
const deadlineMs = 280_000;

/** The installation that all files of this folder share, once it is deployed. */
export const installation = Told.parse(
  await fromBackground("the installation", inject("installation"), deadlineMs),
);
