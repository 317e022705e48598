#!/usr/bin/env python3
"""Verifies the audit of a Keyturn store, written from docs/audit.md alone: no part of Keyturn, and nothing but Python 3 is needed.

  python3 verify_audit.py .keyturn                        every chain, and the list of signed roots
  python3 verify_audit.py .keyturn --anchor anchor.json   ... and that the list still has a root that was kept elsewhere
  python3 verify_audit.py .keyturn --key 3b6a27bc...      ... and that it goes on with a key that is known from elsewhere

Exit codes: 0 everything is unbroken, 2 wrong usage or input, 6 something is broken. It reads, and writes nothing.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import sys
from urllib.parse import unquote_to_bytes

HEX_32 = re.compile(r"[0-9a-f]{64}")
HEX_8 = re.compile(r"[0-9a-f]{16}")


# Ed25519 (RFC 8032, section 5.1), verification only.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(one, other):
    """Adds two points in extended coordinates."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c, d = 2 * one[3] * other[3] * D % P, 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar, point):
    total = (0, 1, 1, 0)
    while scalar > 0:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def decompress(data):
    """The point that 32 bytes stand for, or None."""
    y, sign = int.from_bytes(data, "little") & (2**255 - 1), data[31] >> 7
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def compress(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def is_signed(public_key, message, signature):
    point = decompress(public_key)
    scalar = int.from_bytes(signature[32:], "little")
    if point is None or len(signature) != 64 or scalar >= ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % ORDER
    x, y, z, t = multiply(challenge, point)
    return compress(add(multiply(scalar, BASE), (-x % P, y, z, -t % P))) == signature[:32]


# JSON lines.


class Unreadable(Exception):
    """A line that is not what it should be."""


def canonical(values):
    """The JSON array without spaces, in UTF-8. Half a surrogate pair, which UTF-8 does not have, is written as its escape."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[\ud800-\udfff]", lambda half: "\\u%04x" % ord(half[0]), text).encode()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def parse(line):
    def refuse(name):
        raise ValueError(name)

    try:
        value = json.loads(line.decode("utf-8", "replace"), parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_whole(value):
    return type(value) is int or (type(value) is float and value.is_integer())


def lines_of(path, read, follows):
    """Every line of a file. A last line without its end was being written: it counts only if it is the whole next line."""
    if not os.path.exists(path):
        return
    last = None
    with open(path, "rb") as file:
        for line in file:
            item = read(parse(line))
            if not line.endswith(b"\n") and not (item and follows(item, last)):
                return
            if item is None:
                raise Unreadable()
            last = item
            yield item


# Chains.

TEXTS = ("ref", "actor", "action", "detail", "previousHash", "hash")
NUMBERS = ("sequence", "at", "epoch")


def read_entry(value):
    if value is None or "version" in value and type(value["version"]) is not str:
        return None
    if any(type(value.get(name)) is not str for name in TEXTS) or any(type(value.get(name)) not in (int, float) for name in NUMBERS):
        return None
    return {**value, **{name: int(value[name]) for name in NUMBERS if is_whole(value[name])}}


def hash_of_entry(entry):
    names = ("ref", "sequence", "at", "actor", "action", "epoch", "version", "detail", "previousHash")
    return sha256(canonical([entry.get(name) for name in names]))


def entry_follows(entry, last):
    sequence, end = (last["sequence"], last["hash"]) if last else (0, "")
    return entry["sequence"] == sequence + 1 and entry["previousHash"] == end and hash_of_entry(entry) == entry["hash"]


def verify_chain(path, ref, marks):
    """How many entries are unbroken, and the first fault: in the chain itself, then against what the roots say of it."""
    sequence, end, replaced = 0, "", None
    try:
        for entry in lines_of(path, read_entry, entry_follows):
            kind = None
            if entry["ref"] != ref:
                kind = "foreign"
            elif entry["sequence"] != sequence + 1:
                kind = "gap"
            elif entry["previousHash"] != end:
                kind = "unlinked"
            elif hash_of_entry(entry) != entry["hash"]:
                kind = "changed"
            if kind:
                return sequence, {"kind": kind, "sequence": entry["sequence"]}
            sequence, end = entry["sequence"], entry["hash"]
            for mark in marks:
                if mark["sequence"] == sequence and mark["hash"] != end and replaced is None:
                    replaced = {"kind": "replaced", "sequence": sequence, "root": mark["root"]}
    except Unreadable:
        return sequence, {"kind": "unreadable", "sequence": sequence + 1}
    for mark in marks:
        if mark["sequence"] > sequence and replaced is None:
            replaced = {"kind": "cut-off", "sequence": sequence, "root": mark["root"]}
    return sequence, replaced


def file_name(ref):
    """Small letters, digits, _ and - are themselves; every other byte is %xx. After each 200 characters a folder ends."""
    name = "".join(chr(byte) if re.match(rb"[a-z0-9_-]", bytes([byte])) else "%%%02x" % byte for byte in ref.encode())
    return os.sep.join(name[at : at + 200] for at in range(0, len(name), 200)) + ".jsonl"


def refs_in(folder):
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.relpath(os.path.join(place, name), folder)
            try:
                ref = unquote_to_bytes(path[: -len(".jsonl")].replace(os.sep, "")).decode()
            except UnicodeDecodeError:
                continue
            if file_name(ref) == path:
                yield ref


# Roots.


def read_root_line(value):
    def has(check, *names):
        return all(check(value.get(name)) for name in names)

    def is_text(one):
        return type(one) is str

    def is_count(one):
        return is_whole(one) and 0 <= one < 2**53

    def is_end(one):
        return type(one) is dict and is_text(one.get("ref")) and is_count(one.get("sequence")) and is_text(one.get("hash"))

    if value is None or not has(is_text, "installation", "previousHash", "signature", "keyId", "hash"):
        return None
    if not has(is_count, "number") or not has(is_whole, "at"):
        return None
    if not HEX_8.fullmatch(value["keyId"]) or not HEX_32.fullmatch(value["hash"]):
        return None
    if value.get("kind") == "key":
        return value if has(is_text, "publicKey") and HEX_32.fullmatch(value["publicKey"]) else None
    if value.get("kind") != "root" or not has(is_count, "chains") or not has(is_text, "root") or not HEX_32.fullmatch(value["root"]):
        return None
    lists = value.get("accepted"), value.get("changed", [])
    if any(type(one) is not list for one in lists):
        return None
    return value if all(map(is_text, lists[0])) and all(map(is_end, lists[1])) else None


def signed_bytes(line):
    if line["kind"] == "key":
        own = ["keyturn-audit-key-1", line["number"], line["at"], line["installation"], line["publicKey"]]
    else:
        own = ["keyturn-audit-root-1", line["number"], line["at"], line["installation"], line["chains"], line["root"], line["accepted"]]
    return canonical([*own, line["previousHash"], line["keyId"]])


def root_follows(line, last):
    number, end = (last["number"], last["hash"]) if last else (0, "")
    return line["number"] == number + 1 and line["previousHash"] == end and sha256(signed_bytes(line)) == line["hash"]


def tree_root(leaves):
    level = leaves
    while len(level) > 1:
        pairs = range(0, len(level) - 1, 2)
        odd = level[-1:] if len(level) % 2 else []
        level = [hashlib.sha256(b"\1" + level[at] + level[at + 1]).digest() for at in pairs] + odd
    return (level[0] if level else hashlib.sha256().digest()).hex()


class Roots:
    """The list of roots, line by line."""

    def __init__(self):
        self.number, self.end, self.installation = 0, "", None
        self.keys, self.last, self.marks, self.accepted = [], None, {}, []
        self._leaves = {}

    def add(self, line):
        """Takes the next line, or says what is wrong with it."""
        if line["number"] != self.number + 1:
            return "gap"
        if line["previousHash"] != self.end:
            return "unlinked"
        if self.installation not in (None, line["installation"]):
            return "foreign"
        if sha256(signed_bytes(line)) != line["hash"]:
            return "changed"
        if not self._is_signed(line):
            return "unsigned"
        if line["kind"] == "root" and not self._grow(line):
            return "changed"
        if line["kind"] == "key":
            self.keys.append(line["publicKey"])
        self.number, self.end, self.installation = line["number"], line["hash"], line["installation"]
        return None

    def _is_signed(self, line):
        if not self.keys and line["kind"] != "key":
            return False
        key = bytes.fromhex(self.keys[-1] if self.keys else line["publicKey"])
        try:
            signature = base64.b64decode(line["signature"])
        except ValueError:
            return False
        return line["keyId"] == sha256(key)[:16] and is_signed(key, signed_bytes(line), signature)

    def _grow(self, line):
        changed, accepted = line["changed"], line["accepted"]
        refs = {end["ref"] for end in changed}
        if len(refs) != len(changed) or not refs.issuperset(accepted):
            return False
        leaves = dict(self._leaves)
        for end in changed:
            known = self.marks.get(end["ref"])
            if end["ref"] not in accepted and end["sequence"] <= (known[-1]["sequence"] if known else 0):
                return False
            leaf = b"\0" + canonical([end["ref"], end["sequence"], end["hash"]])
            leaves[end["ref"]] = hashlib.sha256(leaf).digest()
        if len(leaves) != line["chains"] or tree_root([leaves[ref] for ref in sorted(leaves)]) != line["root"]:
            return False
        for end in changed:
            # What a person has accepted counts from there on.
            if end["ref"] in accepted or end["ref"] not in self.marks:
                self.marks[end["ref"]] = []
            self.marks[end["ref"]].append({"sequence": end["sequence"], "hash": end["hash"], "root": line["number"]})
        self._leaves, self.last = leaves, line
        self.accepted += [{"ref": ref, "root": line["number"]} for ref in accepted]
        return True


def verify_roots(path, anchor, keys):
    """The list as far as it is unbroken, and its first fault."""
    roots, diverged = Roots(), None
    try:
        for line in lines_of(path, read_root_line, root_follows):
            kind = roots.add(line)
            if kind:
                return roots, {"kind": kind, "number": line["number"]}
            if anchor and line["number"] == anchor["number"] and line["hash"] != anchor["hash"]:
                diverged = {"kind": "diverged", "number": line["number"]}
    except Unreadable:
        return roots, {"kind": "unreadable", "number": roots.number + 1}
    if diverged:
        return roots, diverged
    if anchor and roots.installation not in (None, anchor["installation"]):
        return roots, {"kind": "foreign", "number": roots.number}
    if anchor and anchor["number"] > roots.number:
        return roots, {"kind": "older", "number": roots.number}
    if keys and not roots.keys:
        return roots, {"kind": "missing", "number": 0}
    if keys and roots.keys[-1] not in keys:
        return roots, {"kind": "another-key", "number": roots.number}
    return roots, None


def read_anchor(path):
    with open(path, "rb") as file:
        anchor = read_root_line(parse(file.read()))
    if anchor is None or anchor["kind"] != "root" or sha256(signed_bytes(anchor)) != anchor["hash"]:
        raise ValueError(f"{path} is no root as `keyturn audit root` prints it")
    return anchor


def main():
    parser = argparse.ArgumentParser(description="Verifies the audit of a Keyturn store.")
    parser.add_argument("store", help="the store's folder, such as .keyturn")
    parser.add_argument("--anchor", help="a root that was kept elsewhere")
    parser.add_argument("--key", action="append", default=[], help="a public key, in hex, that the list may go on with")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args()
    folder = os.path.join(options.store, "audit")
    if not os.path.isdir(folder):
        parser.error(f"{folder} is no folder")
    try:
        anchor = read_anchor(options.anchor) if options.anchor else None
    except (OSError, ValueError) as problem:
        parser.error(str(problem))

    roots, roots_fault = verify_roots(folder + "-roots.jsonl", anchor, options.key)
    chains = []
    for ref in sorted({*refs_in(folder), *roots.marks}):
        entries, fault = verify_chain(os.path.join(folder, file_name(ref)), ref, roots.marks.get(ref, []))
        chains.append({"ref": ref, "entries": entries, **({"fault": fault} if fault else {})})
    verified = roots_fault is None and not any("fault" in chain for chain in chains)
    if options.json:
        found = {"lines": roots.number, "accepted": roots.accepted, **({"fault": roots_fault} if roots_fault else {})}
        print(json.dumps({"verified": verified, "chains": chains, "roots": found}))
    else:
        for chain in chains:
            print(f"{chain['ref']}  {chain['entries']} entries  {words(chain.get('fault'))}")
        print(f"roots  {roots.number} lines  {words(roots_fault)}")
    return 0 if verified else 6


def words(fault):
    return f"BROKEN: {json.dumps(fault)}" if fault else "unbroken"


if __name__ == "__main__":
    sys.exit(main())
