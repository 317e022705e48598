/** Fields that bear such a name hold a secret, whoever writes them. `secret` itself is the reference of one. */
const names = [
  "password",
  "passwd",
  "passphrase",
  "pwd",
  "token",
  "access token",
  "refresh token",
  "session token",
  "rotation token",
  "bearer",
  "jwt",
  "api key",
  "access key",
  "secret key",
  "secret access key",
  "private key",
  "signing key",
  "signing secret",
  "client secret",
  "routing key",
  "secret value",
  "secret string",
  "credentials",
  "connection string",
  "dsn",
  "authorization",
  "proxy authorization",
  "cookie",
  "set cookie",
  "x api key",
];

/** The spellings of one name: apiKey, ApiKey, apikey, api_key, API_KEY, api-key, Api-Key. */
function spellings(name: string): readonly string[] {
  const words = name.split(" ");
  const capital = words.map((word) => `${word[0]?.toUpperCase()}${word.slice(1)}`);
  const [first, ...others] = capital;
  return [
    `${first?.toLowerCase()}${others.join("")}`.replace(/^./, (letter) => letter.toLowerCase()),
    capital.join(""),
    words.join(""),
    words.join("_"),
    words.join("_").toUpperCase(),
    words.join("-"),
    capital.join("-"),
  ];
}

const all = [...new Set(names.flatMap(spellings))].map((name) => `["${name}"]`);

/** At the top of a line's fields, and in what lies in them, two levels deep. */
export const secretFieldPaths: readonly string[] = all.flatMap((name) => [name, `*${name}`, `*.*${name}`]);
