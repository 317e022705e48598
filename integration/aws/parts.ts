import { join } from "node:path";
import { findPython } from "./python.ts";

export interface Part {
  readonly title: string;
  /** What a machine must have before, and how it is called where one can ask for it. */
  readonly needs: string;
  /** The files that say what is installed, and how. */
  readonly pins: readonly string[];
  /** What is run, one after another, to install it into a folder that is there and empty. */
  commands(folder: string): readonly (readonly string[])[];
}

const here = import.meta.dirname;
const requirements = {
  localstack: join(here, "localstack/requirements.txt"),
  ministack: join(here, "ministack/requirements.txt"),
  python: join(here, "python-function/requirements.txt"),
} as const;
const dynamodb = {
  pom: join(here, "dynamodb-local/pom.xml"),
  server: join(here, "dynamodb-local/LoopbackServer.java"),
} as const;

export const parts = {
  "dynamodb-local": {
    title: "DynamoDB Local",
    needs: "Maven and a JDK, 17 or later (on Debian: maven, default-jdk-headless)",
    pins: [dynamodb.pom, dynamodb.server],
    commands: (folder) => [
      [
        "mvn",
        "--batch-mode",
        "--quiet",
        `--file=${dynamodb.pom}`,
        "dependency:copy-dependencies",
        `-DoutputDirectory=${join(folder, "jars")}`,
      ],
      ["javac", "-d", join(folder, "classes"), "-cp", join(folder, "jars/*"), dynamodb.server],
    ],
  },
  localstack: {
    title: "LocalStack",
    needs: "Python 3.13 or 3.12",
    pins: [requirements.localstack],
    commands: (folder) => fromPyPI(folder, requirements.localstack),
  },
  ministack: {
    title: "MiniStack",
    needs: "Python 3.13 or 3.12",
    pins: [requirements.ministack],
    commands: (folder) => fromPyPI(folder, requirements.ministack),
  },
  /** No emulator: what the bench compares with. */
  "python-function": {
    title: "A function in Python",
    needs: "Python 3.13 or 3.12",
    pins: [requirements.python],
    commands: (folder) => fromPyPI(folder, requirements.python),
  },
} as const satisfies Record<string, Part>;

/** An environment of its own, with exactly what the file lists. */
function fromPyPI(folder: string, requirements: string): readonly (readonly string[])[] {
  return [
    [findPython(), "-m", "venv", folder],
    [join(folder, "bin/python"), "-m", "pip", "install", "--quiet", `--requirement=${requirements}`],
  ];
}
