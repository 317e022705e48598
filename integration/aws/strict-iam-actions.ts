/** A user of the model, with its keys as they are, whatever AWS's many servers know of them yet. */
export interface ModelUser {
  readonly userName: string;
  readonly path: string;
  readonly isAdministrator: boolean;
  readonly keys: ModelKey[];
  readonly tags: Map<string, string>;
  /** Actions that it may not do although it is an administrator. */
  readonly denied: Set<string>;
}

export interface ModelKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly createdAt: number;
  status: "Active" | "Inactive";
  changedAt: number;
  lastUsedAt: number | undefined;
  isGone: boolean;
}

/** What a test may want to be otherwise. */
export interface Behaviour {
  /** For so long a fresh key is refused. */
  freshMs: number;
  /** For so long a key that became inactive, or is gone, is still let in. */
  staleMs: number;
  /** As long as it is positive, every second answer about a key is that of a server which has not heard of it. */
  flaps: number;
  /** The quota; AWS's is 2. */
  keysMax: number;
  /** The names of the next answers: such as Throttling, or `lost` for one that is carried out and never answered. */
  readonly failures: { readonly action: string; readonly code: string }[];
  /** Tears the connection at the nth request from now on: before it is carried out, or after it. Zero: it has happened. */
  tear: { at: number; readonly when: "before" | "after" } | undefined;
  /** The time of the model. */
  now: () => number;
  /** What others do while an action is on its way; once. */
  readonly meanwhile: Map<string, () => Promise<unknown>>;
}

const account = "111122223333";

/** What AWS answers instead of a result. */
export class Refusal extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export interface Caller {
  readonly user: ModelUser;
  readonly key: ModelKey;
}

interface World {
  readonly caller: Caller;
  readonly users: ReadonlyMap<string, ModelUser>;
  readonly behaviour: Behaviour;
  readonly addKey: (user: ModelUser) => ModelKey;
}

/** Carries an action out, and gives the inside of its result. */
export function answer(action: string, parameters: URLSearchParams, world: World): string {
  const { caller, users } = world;
  const named = (name: string) => parameters.get(name) ?? "";
  if (action === "GetCallerIdentity") return `<Arn>${arnOf(caller.user)}</Arn><Account>${account}</Account>`;
  if (action === "GetAccessKeyLastUsed") return lastUsed(named("AccessKeyId"), users);
  const user = users.get(named("UserName"));
  if (user === undefined) throw new Refusal("NoSuchEntity", "The user cannot be found.");
  const carryOut = actions[action];
  if (carryOut === undefined) throw new Refusal("InvalidAction", `Could not find operation ${action}`);
  return carryOut(user, parameters, world);
}

type Action = (user: ModelUser, parameters: URLSearchParams, world: World) => string;

const actions: Readonly<Record<string, Action>> = {
  ListAccessKeys: (user) => {
    const members = user.keys
      .filter(({ isGone }) => !isGone)
      .map((key) => `<member>${shown(user, key)}</member>`);
    return `<IsTruncated>false</IsTruncated><AccessKeyMetadata>${members.join("")}</AccessKeyMetadata>`;
  },
  ListUserTags: ({ tags }, parameters) => {
    // In small pages, so that whoever reads only the first one is found out.
    const from = Number(parameters.get("Marker") ?? 0);
    const members = [...tags]
      .slice(from, from + 2)
      .map(([key, value]) => `<member><Key>${escaped(key)}</Key><Value>${escaped(value)}</Value></member>`);
    const isMore = tags.size > from + 2;
    const marker = isMore ? `<Marker>${from + 2}</Marker>` : "";
    return `<IsTruncated>${isMore}</IsTruncated>${marker}<Tags>${members.join("")}</Tags>`;
  },
  CreateAccessKey: (user, _, { behaviour, addKey }) => {
    if (user.keys.filter(({ isGone }) => !isGone).length >= behaviour.keysMax) {
      throw new Refusal("LimitExceeded", `Cannot exceed quota for AccessKeysPerUser: ${behaviour.keysMax}`);
    }
    const key = addKey(user);
    return `<AccessKey>${shown(user, key)}<SecretAccessKey>${key.secretAccessKey}</SecretAccessKey></AccessKey>`;
  },
  UpdateAccessKey: (user, parameters, { behaviour }) => {
    const key = keyOf(user, parameters.get("AccessKeyId"));
    const status = parameters.get("Status") === "Active" ? "Active" : "Inactive";
    if (key.status !== status) key.changedAt = behaviour.now();
    key.status = status;
    return "";
  },
  DeleteAccessKey: (user, parameters, { behaviour }) => {
    const key = keyOf(user, parameters.get("AccessKeyId"));
    if (key.status === "Active") key.changedAt = behaviour.now();
    key.isGone = true;
    return "";
  },
  TagUser: tag,
  UntagUser: (user, parameters) => {
    for (const [name, value] of parameters) if (name.startsWith("TagKeys.")) user.tags.delete(value);
    return "";
  },
};

function shown({ userName }: ModelUser, { accessKeyId, status, createdAt }: ModelKey): string {
  return `<UserName>${userName}</UserName><AccessKeyId>${accessKeyId}</AccessKeyId><Status>${status}</Status><CreateDate>${time(createdAt)}</CreateDate>`;
}

function lastUsed(accessKeyId: string, users: ReadonlyMap<string, ModelUser>): string {
  const user = [...users.values()].find(({ keys }) => keys.some((key) => key.accessKeyId === accessKeyId));
  const at = user && keyOf(user, accessKeyId).lastUsedAt;
  const use =
    at === undefined
      ? "<ServiceName>N/A</ServiceName><Region>N/A</Region>"
      : `<LastUsedDate>${time(at)}</LastUsedDate><ServiceName>sts</ServiceName><Region>eu-west-1</Region>`;
  return `<UserName>${user?.userName}</UserName><AccessKeyLastUsed>${use}</AccessKeyLastUsed>`;
}

function tag(user: ModelUser, parameters: URLSearchParams): string {
  const wanted = new Map<string, string>();
  for (let index = 1; parameters.has(`Tags.member.${index}.Key`); index += 1) {
    wanted.set(
      parameters.get(`Tags.member.${index}.Key`) ?? "",
      parameters.get(`Tags.member.${index}.Value`) ?? "",
    );
  }
  const isText = (value: string, most: number) =>
    value.length <= most && /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(value);
  for (const [key, value] of wanted) {
    if (key === "" || key.startsWith("aws:") || !isText(key, 128) || !isText(value, 256)) {
      throw new Refusal("ValidationError", "a tag is too long, or has letters that no tag may have");
    }
  }
  if (new Set([...user.tags.keys(), ...wanted.keys()]).size > 50)
    throw new Refusal("LimitExceeded", "50 tags");
  for (const [key, value] of wanted) user.tags.set(key, value);
  return "";
}

function keyOf(user: ModelUser, accessKeyId: string | null): ModelKey {
  const key = user.keys.find((each) => each.accessKeyId === accessKeyId && !each.isGone);
  if (key === undefined) throw new Refusal("NoSuchEntity", "The Access Key cannot be found.");
  return key;
}

export function arnOf({ path, userName }: ModelUser): string {
  return `arn:aws:iam::${account}:user${path}${userName}`;
}

/** To the second, as AWS has it. */
function time(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}

export function escaped(value: string): string {
  return value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
