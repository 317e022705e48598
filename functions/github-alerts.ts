import { createAppAuth } from "@octokit/auth-app";
import { request } from "@octokit/request";
import * as z from "zod/mini";
import { KeyturnError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";

/** An alert of GitHub's secret scanning: what was found is told only on request. */
export interface FoundByGithub {
  /** `owner/name` */
  readonly repository: string;
  readonly alert: number;
  /** The installation of a GitHub App that the event came by. */
  readonly installation: number | undefined;
  readonly because: string;
}

export interface GithubAlerts {
  /** What GitHub found. Undefined: the alert is gone. */
  read(found: FoundByGithub): Promise<Secret | undefined>;
}

interface GithubOptions {
  /** The app's id and private key: a JSON text, asked for when it is needed. Undefined: there is no app. */
  readonly app: (() => Promise<Secret>) | undefined;
  readonly baseUrl?: string;
}

const App = z.object({ appId: z.union([z.string(), z.number()]), privateKey: z.string() });
const Alert = z.object({ data: z.object({ secret: z.string() }) });
const Failed = z.object({ status: z.number() });

const answerWithinMs = 10_000;

/**
 * Asks GitHub as an app that is installed there, with the right to read secret scanning alerts:
 * https://docs.github.com/en/rest/secret-scanning/secret-scanning#get-a-secret-scanning-alert. Whether it works is known when it is needed,
 * so without an app, or where GitHub refuses it, a person is called.
 */
export function githubAlerts({ app, baseUrl = "https://api.github.com" }: GithubOptions): GithubAlerts {
  return {
    read: async ({ repository, alert, installation, because }) => {
      if (app === undefined || installation === undefined) {
        throw person(because, "no GitHub App is here that could ask for the value");
      }
      const { appId, privateKey } = appIn(await app());
      const asking = request.defaults({ baseUrl });
      const [owner = "", repo = ""] = repository.split("/");
      try {
        const auth = createAppAuth({ appId, privateKey, request: asking });
        const signal = AbortSignal.timeout(answerWithinMs);
        const { token } = await auth({ type: "installation", installationId: installation });
        const answer = await asking("GET /repos/{owner}/{repo}/secret-scanning/alerts/{alert_number}", {
          owner,
          repo,
          alert_number: alert,
          headers: { authorization: `Bearer ${token}` },
          request: { signal },
        });
        const read = Alert.safeParse(answer);
        if (read.success) return new Secret(read.data.data.secret);
      } catch (thrown) {
        return refused(thrown, because);
      }
      throw person(because, "GitHub's answer does not hold the value");
    },
  };
}

/** What GitHub or its library say may quote what was sent; its status says enough. */
function refused(thrown: unknown, because: string): undefined {
  const status = Failed.safeParse(thrown).data?.status;
  if (status === 404 || status === 410) return undefined;
  if (status === 401 || status === 403 || status === 422) {
    throw person(because, `GitHub refuses the app (${status}): may it read secret scanning alerts?`);
  }
  throw new KeyturnError(
    "unreachable",
    `GitHub does not tell what it found (${status ?? "no answer"}): ${because}`,
  );
}

function appIn(value: Secret): z.infer<typeof App> {
  try {
    return App.parse(JSON.parse(value.reveal()));
  } catch {
    throw new KeyturnError(
      "credential-invalid",
      "the secret of the GitHub App is no JSON with appId and privateKey",
    );
  }
}

function person(because: string, why: string): KeyturnError {
  return new KeyturnError("request-refused", `a person has to look: ${because}: ${why}`);
}
