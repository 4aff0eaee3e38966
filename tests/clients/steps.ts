// What the TypeScript programs here have in common: the system's addresses and keys, and a line for each step.

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

export const api = setting("API");
export const key = setting("TOKEN");
export const chat = setting("CONVERSATION");
export const spentKey = setting("SPENT_TOKEN");
export const spentChat = setting("SPENT_CONVERSATION");

/** Runs a function, and prints how it ended. */
export async function step(name: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
    console.log(name, "ok");
  } catch (error) {
    console.log(name, String(error).replace(/\s+/g, " ").slice(0, 500));
  }
}

export function check(truth: unknown, ...seen: unknown[]): asserts truth {
  if (!truth) throw new Error(`not as expected: ${JSON.stringify(seen)}`);
}

export const text = (): Blob => new Blob(["A text.\n"], { type: "text/plain" });

/** Brings an announced file. */
export async function put(url: string, headers: Record<string, string>): Promise<void> {
  const rest = Object.entries(headers).filter(([name]) => name !== "content-length"); // fetch sets it
  const answer = await fetch(url, { method: "PUT", headers: Object.fromEntries(rest), body: text() });
  check(answer.status === 200, answer.status, await answer.text());
}

export const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 100));
