import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** A certificate and its private key, as PEM. */
interface Issued {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate authority for the length of a test. */
export interface Authority {
  readonly certificate: string;
  issue(names: { readonly dns: readonly string[]; readonly ip: readonly string[] }): Issued;
}

/**
 * Makes an authority. Node makes keys and signatures but no certificates, so the few fields that a TLS client looks at
 * are written out here, in DER (RFC 5280); this asks for neither openssl nor a library.
 */
export function createAuthority(name = "Keyturn test authority"): Authority {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certificate = certify({
    subject: name,
    publicKey,
    issuer: name,
    signingKey: privateKey,
    extensions: [
      extension(oid.basicConstraints, sequence(der(0x01, Buffer.of(0xff)))),
      extension(oid.keyUsage, der(0x03, Buffer.of(2, 0b0000_0100))),
    ],
  });
  return {
    certificate,
    issue: ({ dns, ip }) => {
      const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const alternatives = [
        ...dns.map((host) => der(0x82, Buffer.from(host, "ascii"))),
        ...ip.map((address) => der(0x87, Buffer.from(address.split(".").map(Number)))),
      ];
      return {
        key: pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
        certificate: certify({
          subject: dns[0] ?? "server",
          publicKey: pair.publicKey,
          issuer: name,
          signingKey: privateKey,
          extensions: [extension(oid.subjectAltName, sequence(...alternatives))],
        }),
      };
    },
  };
}

const oid = {
  commonName: Buffer.of(0x55, 0x04, 0x03),
  keyUsage: Buffer.of(0x55, 0x1d, 0x0f),
  subjectAltName: Buffer.of(0x55, 0x1d, 0x11),
  basicConstraints: Buffer.of(0x55, 0x1d, 0x13),
  ecdsaWithSha256: Buffer.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02),
} as const;

function certify(of: {
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly issuer: string;
  readonly signingKey: KeyObject;
  readonly extensions: readonly Buffer[];
}): string {
  const dayMs = 86_400_000;
  const algorithm = sequence(der(0x06, oid.ecdsaWithSha256));
  const body = sequence(
    der(0xa0, der(0x02, Buffer.of(2))),
    // A serial number is positive: its first bit must be 0, and its first byte must not be 0.
    der(0x02, Buffer.concat([Buffer.of(0x40), randomBytes(15)])),
    algorithm,
    commonName(of.issuer),
    sequence(utcTime(Date.now() - dayMs), utcTime(Date.now() + 30 * dayMs)),
    commonName(of.subject),
    of.publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...of.extensions)),
  );
  const signature = sign("sha256", body, of.signingKey);
  const certificate = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.of(0), signature])));
  const lines = certificate.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}

function commonName(name: string): Buffer {
  return sequence(der(0x31, sequence(der(0x06, oid.commonName), der(0x0c, Buffer.from(name, "utf8")))));
}

function extension(id: Buffer, value: Buffer): Buffer {
  return sequence(der(0x06, id), der(0x04, value));
}

function utcTime(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/\D/g, "").slice(2, 14);
  return der(0x17, Buffer.from(`${digits}Z`, "ascii"));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

/** One DER element: tag, length, content. */
function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  if (length < 0x100) return Buffer.concat([Buffer.of(tag, 0x81, length), content]);
  return Buffer.concat([Buffer.of(tag, 0x82, length >> 8, length & 0xff), content]);
}
