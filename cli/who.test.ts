import { expect, test, vi } from "vitest";
import { person } from "./who.ts";

const system = vi.hoisted(() => ({ userInfo: (): { username: string } => ({ username: "alice" }) }));
vi.mock("node:os", async (original) => ({
  ...(await original<object>()),
  userInfo: () => system.userInfo(),
}));

test("who asks has a name, and where the system knows none, a number", () => {
  expect(person()).toBe("person:alice");
  system.userInfo = () => {
    throw new Error("uv_os_get_passwd returned ENOENT");
  };
  expect(person()).toBe(`person:uid-${process.getuid?.()}`);
});
